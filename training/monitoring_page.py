"""The daily report of what a model saw and said: HTML for people, one JSON file for gauges."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from models.findings import Text
from models.observation import Observation
from training.drift import Drift, Measure
from training.monitoring_words import (
    causes_of,
    institution_title,
    name_of,
    skipped_told,
    value_of,
)
from training.second_opinions import SecondOpinions

mpl.use("Agg")  # no display where reports are made

_TEMPLATE = Path(__file__).parent / "monitoring_page.html.jinja"
_PLOTTED = 6


def write_page(
    path: Path,
    *,
    model: str,
    version: str,
    days: tuple[date, date],
    drifts: Sequence[Drift],
    streams: Mapping[str, Sequence[Observation]],
    reference: Sequence[Observation],
    names: Mapping[str, Text],
    others: SecondOpinions,
) -> None:
    """Write the report to `path`; `streams` are the readings of each institution.

    `names` are those of institutions, by the ids that observations have.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATE.parent), autoescape=True, trim_blocks=True
    )
    text = environment.get_template(_TEMPLATE.name).render(
        model=model,
        version=version,
        days=days,
        alarmed=[drift for drift in drifts if drift.alarms],
        judged=any(drift.measures for drift in drifts),
        drifts=[
            (drift, _plot(drift, streams[drift.institution], reference), causes_of(drift.alarms))
            # Whoever has little time reads the first one.
            for drift in sorted(drifts, key=lambda each: not each.alarms)
        ],
        reference_readings=len(reference),
        reference_days=_days_of(reference),
        title_of=lambda institution: institution_title(institution, names),
        name_of=name_of,
        value_of=value_of,
        shadow=others.shadow,
        shadow_read=others.shadow_read,
        skipped=skipped_told(others.shadow_read),
        reviews=others.reviews,
        reviewed=others.reviewed,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _days_of(observations: Sequence[Observation]) -> str:
    days = sorted(each.at[:10] for each in observations)
    return " – ".join(dict.fromkeys((days[0], days[-1])))


def _plot(drift: Drift, found: Sequence[Observation], reference: Sequence[Observation]) -> str:
    """Draw the numbers that moved most against the reference; nothing where none did."""
    moved = [each for each in drift.measures if each.kind != "rate" and each.effect > 0]
    shown = sorted(moved, key=lambda each: -each.effect)[:_PLOTTED]
    if not shown:
        return ""
    rows = -(-len(shown) // 3)
    figure = Figure(figsize=(12, 2.4 * rows), dpi=90, layout="constrained")
    for axes, measure in zip(np.atleast_1d(figure.subplots(rows, 3)).ravel(), shown, strict=False):
        take = _taker(measure)
        before, now = _values(reference, take), _values(found, take)
        low, high = np.percentile(np.concatenate([before, now]), [0.5, 99.5])
        bins = np.linspace(low, max(high, low + 1e-9), 36)
        axes.hist(before, bins=bins, density=True, alpha=0.5, color="#31708f", label="reference")
        axes.hist(now, bins=bins, density=True, alpha=0.5, color="#c0392b", label="now")
        axes.set(yticks=[])
        axes.set_title(f"{name_of(measure).en} ({measure.effect:.2f})", fontsize=9)
    for axes in figure.axes[len(shown) :]:
        axes.set_axis_off()
    figure.axes[0].legend(fontsize=7, frameon=False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _taker(measure: Measure) -> Callable[[Observation], float | None]:
    name = measure.name
    if name == "distance":
        return lambda each: each.ood_score
    if measure.kind == "embedding":
        at = int(name.removeprefix("embedding ")) - 1
        return lambda each: each.position[at] if len(each.position) > at else None
    if measure.kind == "score":
        label = name.removeprefix("probability of ")
        return lambda each: each.said[label].probability if label in each.said else None
    return lambda each: each.facts.get(name)


def _values(observations: Sequence[Observation], take: Callable[[Observation], Any]) -> Any:
    return np.array([value for each in observations if (value := take(each)) is not None])
