"""A published score fitted to local data: an intercept and a slope on its linear predictor.

The risk becomes g(intercept + slope * predictor), where the predictor is the published risk on the
scale on which its equation adds up (`models.risk.scales`). Cox, Biometrika 1958;45:562; Steyerberg,
Clinical Prediction Models (2nd ed. 2019), chapter 20; Van Calster et al., BMC Med 2019;17:230.

<name>/<version>/
    recalibration.json   `CONTENT`, written by training.recalibration
    evaluation.json      calibration before and after, on people it was not fitted to
    docs/README.md       the card, with the plots beside it
    SHA256SUMS           as in any model package; its own digest names this one
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema

from models.errors import PackageInvalidError
from models.findings import Text
from models.package import RECALIBRATION, verify
from models.risk.inputs import INPUTS
from models.risk.scales import on_scale, to_percent
from models.risk.score import Columns, Floats, Need, Score

_TEXT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["en", "zh"],
    "properties": {name: {"type": "string", "minLength": 1} for name in ("en", "zh")},
}
_NUMBER = {"type": "number"}
_COUNT = {"type": "integer", "minimum": 1}
_PROPERTIES: Mapping[str, Any] = {
    "contract": {"const": 1},
    "name": {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"},
    "version": {"type": "string", "pattern": "^[0-9]+\\.[0-9]+\\.[0-9]+$"},
    "score": {"type": "string"},
    "score_version": {"type": "string"},
    "scale": {"enum": ["log_hazard", "log_odds"]},
    "intercept": _NUMBER,
    # A slope of zero or less would turn the order of people.
    "slope": {"type": "number", "exclusiveMinimum": 0},
    "horizon_years": {"type": "number", "exclusiveMinimum": 0},
    "options": {"type": "object", "additionalProperties": _NUMBER},
    "cohort": _TEXT,
    "people": _COUNT,
    "events": _COUNT,
    "by": {"type": "string", "minLength": 1},
    "made_on": {"type": "string", "format": "date"},
}
CONTENT: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": list(_PROPERTIES),
    "properties": _PROPERTIES,
}
"""JSON schema of `recalibration.json`."""


@dataclass(frozen=True, slots=True)
class Recalibration:
    """One recalibration of one score, as its package says it."""

    name: str
    version: str
    digest: str
    """Of its package."""
    of: Score
    """The published score, which stays as it is."""
    intercept: float
    slope: float
    horizon_years: float
    options: Mapping[str, float]
    """What was asked of the equation (its outcome, its horizon): it holds for nothing else."""
    cohort: Text
    """Whose data it was fitted to."""
    people: int
    """That it was fitted to."""
    events: int
    by: str
    made_on: date

    @property
    def told(self) -> Text:
        """On whom it was recalibrated, when and by whom."""
        return Text(
            f"Recalibrated locally on {self.people:,} people ({self.events:,} events) of "
            f"{self.cohort.en}, by {self.by}, {self.made_on}.",
            f"已按本地数据重新校准：{self.cohort.zh}，{self.people:,}人（{self.events:,}例结局），"
            f"由{self.by}于{self.made_on}完成。",
        )


def is_recalibration(folder: Path) -> bool:
    """Tell whether a package's folder holds a recalibrated score."""
    return (folder / RECALIBRATION).is_file()


def read_recalibration(folder: Path, scores: Mapping[str, Score]) -> Recalibration:
    """Verify the package in `folder` and read it.

    Args:
        folder: of the package.
        scores: the published scores by their identifiers.

    Raises:
        PackageTamperedError: a file is missing, changed or not listed.
        PackageInvalidError: it does not fit the contract, or was made for another edition of the
            score than this installation has.
    """
    digest = verify(folder)
    content = _content(folder)
    of = scores.get(content["score"])
    if of is None or (of.version, of.scale.value) != (content["score_version"], content["scale"]):
        raise PackageInvalidError(
            f"{content['name']} {content['version']} was fitted to {content['score']} "
            f"{content['score_version']}, this installation has "
            f"{'no such score' if of is None else of.version}; recalibrate again."
        )
    return Recalibration(
        name=content["name"],
        version=content["version"],
        digest=digest,
        of=of,
        intercept=float(content["intercept"]),
        slope=float(content["slope"]),
        horizon_years=float(content["horizon_years"]),
        options=content["options"],
        cohort=Text(**content["cohort"]),
        people=content["people"],
        events=content["events"],
        by=content["by"],
        made_on=date.fromisoformat(content["made_on"]),
    )


def _content(folder: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((folder / RECALIBRATION).read_text(encoding="utf-8"))
        jsonschema.validate(content, CONTENT)
        date.fromisoformat(content["made_on"])
    except jsonschema.ValidationError as invalid:
        where = "/".join(str(step) for step in invalid.absolute_path) or "the top level"
        raise PackageInvalidError(f"{RECALIBRATION}: at {where}: {invalid.message}") from invalid
    except (OSError, ValueError) as error:
        raise PackageInvalidError(f"{RECALIBRATION} cannot be read.") from error
    return content


def recalibrated(recalibration: Recalibration) -> Score:
    """Return the score that answers under the recalibration's own name and version."""
    of, told = recalibration.of, recalibration.told
    fitted = recalibration.intercept, recalibration.slope
    return replace(
        of,
        id=recalibration.name,
        version=f"{recalibration.version} ({of.id} {of.version})",
        title=Text(
            f"{of.title.en}, recalibrated for {recalibration.cohort.en}",
            f"{of.title.zh}（{recalibration.cohort.zh}重新校准）",
        ),
        needs=tuple(_held(need, recalibration.options) for need in of.needs),
        kernel=partial(_recalibrated_risk, of, *fitted),
        population=Text(f"{told.en} {of.population.en}", f"{told.zh}{of.population.zh}"),
        limits=Text(f"{_LIMIT.en} {of.limits.en}", f"{_LIMIT.zh}{of.limits.zh}"),
        formula=f"g({fitted[0]:.6g} + {fitted[1]:.6g} x), x the published risk on the scale "
        f"{of.scale.value}; published: {of.formula}",
        verified=f"On people of the same cohort held out of the fit; published: {of.verified}",
        # LOINC codes the published score; this is another number.
        loinc=None,
        recalibration=recalibration,
    )


_LIMIT = Text(
    "Holds for the people it was recalibrated on; elsewhere use the published score.",
    "仅适用于用于重新校准的人群，其他人群请使用原公式。",
)


def _held(need: Need, options: Mapping[str, float]) -> Need:
    """Hold an option of the equation to what the recalibration was fitted for."""
    if need.name not in options:
        return need
    value = options[need.name]
    words = INPUTS[need.name].choices
    choices = (words[int(value)],) if words else ()
    return replace(need, low=value, high=value, below=False, default=value, choices=choices)


def _recalibrated_risk(of: Score, intercept: float, slope: float, columns: Columns) -> Floats:
    predictor = on_scale(of.scale, of.kernel(columns))
    return to_percent(of.scale, intercept + slope * predictor)
