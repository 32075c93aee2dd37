"""The latest figures of monitoring, from the report that finds them to `/metrics` that shows them.

`ZHUZHEN_HOME/monitoring/gauges.json`, one entry for each model; replaced whole.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from models.store import home


@dataclass(frozen=True, slots=True)
class Gauge:
    """One figure of one model version at one institution."""

    name: str
    """`drift_effect`, `drift_alarms`, `readings`, `shadow_agreement`, `shadow_skipped`,
    `review_agreement` or `shadow_review_agreement`."""
    model: str
    version: str
    institution: str
    measure: str
    """What was measured; names of this project alone."""
    value: float


def _path() -> Path:
    return home() / "monitoring" / "gauges.json"


def write_gauges(model: str, gauges: Sequence[Gauge]) -> None:
    """Replace the figures of `model` by `gauges`."""
    kept = [each for each in read_gauges() if each.model != model]
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps([asdict(each) for each in [*kept, *gauges]]), encoding="utf-8")
    part.replace(path)


def read_gauges() -> list[Gauge]:
    """Return the latest figures of all models; none where no report was made or it is spoilt."""
    try:
        return [Gauge(**each) for each in json.loads(_path().read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return []
