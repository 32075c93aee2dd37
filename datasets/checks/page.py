"""The report of a check as one HTML file that needs nothing else: text, tables, plots, pictures."""

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from datasets.checks import Check, Problem, Seen
from datasets.checks.words import (
    NONE,
    NOT_ASSIGNED,
    NOT_KNOWN,
    SEVERITIES,
    fact_name,
    kind_name,
)
from datasets.description import Description

_TEMPLATE = Path(__file__).parent / "page.html.jinja"
_ENLARGED_PX = 144
_CONTACTS = 8
_FACTS_SHOWN = 12
_ROWS = 12


def write_page(check: Check, description: Description, path: Path) -> None:
    """Write the report to `path`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATE.parent), autoescape=True, trim_blocks=True
    )
    seen = check.seen
    text = environment.get_template(_TEMPLATE.name).render(
        name=description.name,
        version=description.version,
        sheet=description.sheet,
        digest=check.digest,
        passed=check.passed,
        samples=len(seen.samples),
        groups=len({sample.group for sample in seen.samples}),
        problems=[(problem, _strips(seen, problem)) for problem in check.problems],
        kind_name=kind_name,
        fact_name=fact_name,
        severities=SEVERITIES,
        counts=_counts(seen, description.labels),
        features=_features(seen, description),
        ages=_ages(seen),
        shortcuts=[_shortcut(seen, *item) for item in check.shortcuts.items()],
        contacts=_contacts(seen),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _strips(seen: Seen, problem: Problem) -> list[dict[str, Any]]:
    return [
        {
            "pictures": [_picture(seen, at) for at in positions],
            "names": [_caption(seen, at) for at in positions],
        }
        for positions in problem.pictures
    ]


def _caption(seen: Seen, at: int) -> str:
    sample = seen.samples[at]
    return f"{sample.sample_id} · {'+'.join(sample.present) or NONE} · group 分组 {sample.group}"


def _picture(seen: Seen, at: int) -> str:
    if seen.thumbnails is None:
        return ""
    image = Image.fromarray(seen.thumbnails[at])
    return _inline(image.resize((_ENLARGED_PX, _ENLARGED_PX), Image.Resampling.BICUBIC))


def _inline(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _plot(figure: Figure) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _counts(seen: Seen, labels: Sequence[str]) -> list[tuple[str, list[tuple[str, int]]]]:
    found = Counter(label for s in seen.samples for label in (s.present or (NONE,)))
    tables: Mapping[str, Counter[str]] = {
        "Label 标签": Counter({**dict.fromkeys(labels, 0), **found}),
        "Subtype 亚型": Counter(sample.subtype for sample in seen.samples),
        "Site 来源": Counter(sample.site or NOT_KNOWN for sample in seen.samples),
        "Sex 性别": Counter(sample.sex or NOT_KNOWN for sample in seen.samples),
        "Part 划分": Counter(sample.part or NOT_ASSIGNED for sample in seen.samples),
    }
    shown = [(name, _most(counter.most_common())) for name, counter in tables.items()]
    return [*shown, ("Samples in a group, groups 每组样本数与组数", _most(_group_sizes(seen)))]


def _most(rows: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return the first rows, and the rest of them as one."""
    if len(rows) <= _ROWS:
        return rows
    rest = rows[_ROWS - 1 :]
    return [*rows[: _ROWS - 1], (f"{len(rest)} others 其他", sum(count for _, count in rest))]


def _features(seen: Seen, description: Description) -> list[tuple[str, str, str, str, str]]:
    """Return of each input of a table its name, unit, missing share, middle and range."""
    rows = []
    for at, column in enumerate(description.features):
        known = [v for s in seen.samples if (v := s.features[at]) is not None]
        missing = f"{1 - len(known) / max(1, len(seen.samples)):.1%}"
        numbers = [value for value in known if isinstance(value, float)]
        if numbers:
            middle = f"{np.median(numbers):.4g}"
            span = f"{min(numbers):.4g} – {max(numbers):.4g}"
        else:
            counts = Counter(str(value) for value in known)
            middle, span = "".join(name for name, _ in counts.most_common(1)), f"{len(counts)}"
        rows.append((column.feature.name, column.feature.unit, missing, middle, span))
    return rows


def _group_sizes(seen: Seen) -> list[tuple[str, int]]:
    """Return how many groups have so many samples, the smallest first."""
    sizes = Counter(Counter(sample.group for sample in seen.samples).values())
    return [(f"{size}", count) for size, count in sorted(sizes.items())]


def _ages(seen: Seen) -> str:
    ages = [sample.age_years for sample in seen.samples if sample.age_years is not None]
    if not ages:
        return ""
    figure = Figure(figsize=(5, 2.2), layout="constrained")
    axes = figure.subplots()
    axes.hist(ages, bins=min(40, max(5, len(set(ages)))), color="#31708f")
    axes.set(xlabel="age / years", ylabel="samples")
    return _plot(figure)


def _shortcut(seen: Seen, label: str, found: Mapping[str, Any]) -> dict[str, Any]:
    facts = list(found["facts"].items())[:_FACTS_SHOWN]
    return {
        "label": label,
        "together": found["together"],
        "facts": facts,
        "plot": _distributions(seen, label, [name for name, _ in facts[:3]]),
        "swapped": _most_swapped(seen, label, found["propensity"]),
    }


def _distributions(seen: Seen, label: str, names: Sequence[str]) -> str:
    names = [name for name in names if name in seen.facts]
    if not names:
        return ""
    figure = Figure(figsize=(3.6 * len(names), 2.4), layout="constrained")
    positive = np.array([label in sample.present for sample in seen.samples])
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        values = seen.facts[name]
        low, high = np.nanpercentile(values, [0.5, 99.5])
        bins = np.linspace(low, max(high, low + 1e-9), 40)
        for chosen, colour, told in ((positive, "#c0392b", label), (~positive, "#31708f", "other")):
            axes.hist(values[chosen], bins=bins, density=True, alpha=0.55, color=colour, label=told)
        axes.set(xlabel=fact_name(name).en, yticks=[])
        axes.legend(fontsize=7, frameon=False)
    return _plot(figure)


def _most_swapped(seen: Seen, label: str, propensity: Any) -> list[dict[str, Any]]:
    """Return, of each class, the pictures that look most as if acquired as the other class."""
    if propensity is None or seen.thumbnails is None:
        return []
    positive = np.array([label in sample.present for sample in seen.samples])
    strips = []
    for told, chosen, sign in (
        (f"{label}, acquired like the others 采集方式却与其余相似", positive, 1),
        (f"without {label}, acquired like those with it 无 {label}，采集方式却相似", ~positive, -1),
    ):
        score = np.where(chosen & np.isfinite(propensity), sign * propensity, np.inf)
        positions = [int(at) for at in np.argsort(score)[:_CONTACTS] if np.isfinite(score[at])]
        strips.append({"told": told, "pictures": [_picture(seen, at) for at in positions]})
    return strips


def _contacts(seen: Seen) -> list[dict[str, Any]]:
    """Return pictures of each subtype, drawn at random but always the same."""
    if seen.thumbnails is None:
        return []
    rng = np.random.default_rng(0)
    subtypes = np.array([sample.subtype for sample in seen.samples])
    strips = []
    for subtype in sorted(set(subtypes.tolist())):
        members = np.flatnonzero((subtypes == subtype) & seen.readable)
        drawn = rng.permutation(members)[:_CONTACTS]
        pictures = [_picture(seen, int(at)) for at in drawn]
        strips.append({"told": subtype, "pictures": pictures})
    return strips
