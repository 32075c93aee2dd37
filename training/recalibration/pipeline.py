"""From a cohort to a package: read, divide, fit, hold against the rest, write, register."""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import store
from models.errors import DataError
from models.findings import Text
from models.package import CARD, EVALUATION, RECALIBRATION, seal
from models.risk.recalibration import Recalibration, read_recalibration
from models.risk.registry import SCORES
from training.provenance import libraries, source_code
from training.recalibration.card import render_card
from training.recalibration.cohort import Cohort
from training.recalibration.held_out import HELD_OUT, write_held_out
from training.recalibration.measuring import Fitted, Parts, compared, divided, fitted
from training.recalibration.picture import draw_calibration, facts_of_tenths
from training.registry import LOCKED_SET, PACKAGE
from training.tracking import Tracker

PICTURE = "calibration.png"


@dataclass(frozen=True, slots=True)
class Order:
    """Under which name, on whose data and by whom a score is recalibrated."""

    name: str
    version: str
    cohort: Text
    by: str
    seed: int = 2026


def next_version(name: str) -> str:
    """Return the version after the newest of `name`, 1.0.0 for the first.

    Raises:
        DataError: the name is that of a published score or of a model of another kind.
    """
    if name in SCORES:
        raise DataError(
            f"{name} is the published score, which stays as it is; choose another name, such as "
            f"{name}-pudong."
        )
    there = store.versions().get(name, {})
    if any(not (folder / RECALIBRATION).is_file() for folder in there.values()):
        raise DataError(f"{name} is a model of another kind; choose another name.")
    newest = max((tuple(map(int, each.split("."))) for each in there), default=None)
    return "1.0.0" if newest is None else f"{newest[0]}.{newest[1] + 1}.0"


def recalibrate(
    cohort: Cohort, order: Order, home: Path, tell: Callable[[str], None]
) -> tuple[Recalibration, Mapping[str, Any]]:
    """Fit, check, package and register; return the recalibration and its evaluation.

    Raises:
        DataError: the data cannot carry it, or the recalibrated risk is no better.
    """
    tell(f"{len(cohort):,} of {cohort.rows:,} rows have a number")
    parts = divided(cohort, order.seed)
    tell(f"fitting to {len(parts.fitted):,} people")
    found = fitted(cohort, parts.fitted, order.seed)
    tell(f"holding it against {len(parts.held_out):,} others")
    evaluation = _evaluated(cohort, parts, found, order)
    tell("packaging")
    root = home / "models" / order.name / order.version
    made = _package(cohort, parts, found, order, evaluation, root)
    tell("recording in the registry")
    _record(cohort, parts.held_out, order, evaluation, made, root, home)
    return made, evaluation


def _evaluated(cohort: Cohort, parts: Parts, found: Fitted, order: Order) -> dict[str, Any]:
    happened, weights = cohort.seen(parts.fitted)
    return {
        "model": order.name,
        "version": order.version,
        "score": cohort.score.id,
        "score_version": cohort.score.version,
        "scale": cohort.score.scale.value,
        "horizon_years": cohort.horizon_years,
        "provenance": {
            "seed": order.seed,
            "code": source_code(),
            "libraries": libraries(),
            "data": {"digest": cohort.digest},
        },
        "cohort": {
            "rows": cohort.rows,
            "scored": len(cohort),
            "refused": dict(cohort.refused),
            "with_follow_up": cohort.years is not None,
        },
        "fit": {
            "people": len(parts.fitted),
            "events": int(happened.sum()),
            "unknown": int((weights == 0).sum()),
            "coefficients": {name: dict(one) for name, one in found.facts.items()},
        },
        "held_out": {
            **compared(cohort, parts.held_out, found, order.seed),
            "tenths": facts_of_tenths(cohort, parts.held_out, found, order.seed),
        },
    }


def _package(
    cohort: Cohort,
    parts: Parts,
    found: Fitted,
    order: Order,
    evaluation: Mapping[str, Any],
    root: Path,
) -> Recalibration:
    """Build the package beside its place and move it there whole."""
    building = root.with_name(f".{root.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    (building / "docs").mkdir(parents=True)
    _write(building / RECALIBRATION, _content(cohort, found, order, evaluation))
    _write(building / EVALUATION, evaluation)
    draw_calibration(cohort, parts.held_out, found, building / "docs" / PICTURE, order.seed)
    seal(building)
    made = read_recalibration(building, SCORES)
    (building / CARD).write_text(render_card(made, evaluation, PICTURE), encoding="utf-8")
    seal(building)
    if root.exists():
        raise DataError(f"{order.name} {order.version} exists already; versions are immutable.")
    building.rename(root)
    return read_recalibration(root, SCORES)


def _content(
    cohort: Cohort, found: Fitted, order: Order, evaluation: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "contract": 1,
        "name": order.name,
        "version": order.version,
        "score": cohort.score.id,
        "score_version": cohort.score.version,
        "scale": cohort.score.scale.value,
        "intercept": found.intercept,
        "slope": found.slope,
        "horizon_years": cohort.horizon_years,
        "options": dict(cohort.options),
        "cohort": asdict(order.cohort),
        "people": evaluation["fit"]["people"],
        "events": evaluation["fit"]["events"],
        "by": order.by,
        "made_on": datetime.now(UTC).date().isoformat(),
    }


def _write(path: Path, value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _record(
    cohort: Cohort,
    held_out: NDArray[np.intp],
    order: Order,
    evaluation: Mapping[str, Any],
    made: Recalibration,
    root: Path,
    home: Path,
) -> None:
    """Keep package, figures and the held-out people's risks as a run, and register the version."""
    with tempfile.TemporaryDirectory() as folder:
        tracker = Tracker(home, Path(folder) / "mlflow-run", f"{order.name} {order.version}")
        settings = {"score": made.of.id, "version": order.version, "seed": order.seed}
        tags = {"cohort_digest": cohort.digest, "code": evaluation["provenance"]["code"]}
        tracker.describe(settings, tags)
        tracker.figures(_headline(evaluation))
        tracker.files(root, PACKAGE)
        write_held_out(cohort, held_out, Path(folder) / HELD_OUT)
        tracker.files(Path(folder) / HELD_OUT, LOCKED_SET)
        tracker.register(order.name, made.digest, order.version)
        tracker.finish(succeeded=True)


def _headline(evaluation: Mapping[str, Any]) -> dict[str, float]:
    fit, held = evaluation["fit"]["coefficients"], evaluation["held_out"]
    figures = {name: one["value"] for name, one in fit.items()}
    for when in ("before", "after"):
        figures |= {f"{when}.{name}": one["value"] for name, one in held[when].items()}
    return figures
