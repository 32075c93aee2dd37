"""A cohort with outcomes, as a score sees it: published risk, what came, who was watched how long.

Rows that the score refuses are left out of the fit, counted by reason and told: a recalibration
holds for the people whom the score takes.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.errors import DataError
from models.risk.column_names import column_name
from models.risk.evaluation import evaluate
from models.risk.reading import read_column
from models.risk.refusals import blamed_input
from models.risk.scales import Scale, on_scale
from models.risk.score import Columns, Floats, Measure, Score, Status
from training.tables.survival import within_horizon

EVENT, OTHER_END = 1.0, 2.0
_OUTCOMES: Mapping[str, float] = {
    **dict.fromkeys(("0", "0.0", "false", "no", "否", "无"), 0.0),
    **dict.fromkeys(("1", "1.0", "true", "yes", "是", "有"), EVENT),
    **dict.fromkeys(("2", "2.0"), OTHER_END),
    **dict.fromkeys(("", "na", "nan", "none", "null"), float("nan")),
}
_MOST_UNKNOWN = 0.05
"""Share of people without a known outcome from which their loss may matter."""


@dataclass(frozen=True, slots=True)
class CohortColumns:
    """Which columns hold what no score takes."""

    outcome: str
    """0: no event, 1: the event, 2: the end by something after which the event cannot come."""
    years: str | None = None
    """Years from the measurements to the event or the end of observation."""
    group: str | None = None
    """People who belong together (a person's several rows, a family, a village)."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """The people of whom the score gives a number."""

    score: Score
    horizon_years: float
    options: Mapping[str, float]
    predictor: Floats
    """The published risk on the score's scale, shape (people,), finite."""
    outcome: Floats
    """0, 1 or 2 (`CohortColumns.outcome`), NaN where not known; shape (people,)."""
    years: Floats | None
    """Of follow-up, shape (people,); None where every outcome is of the whole horizon."""
    groups: NDArray[np.str_]
    subgroups: Mapping[str, NDArray[np.str_]]
    """By attribute, its value for each person."""
    rows: int
    """Of the table, with those that the score refused."""
    refused: Mapping[str, int]
    """Rows by why there is no number."""
    digest: str
    """Of the file."""

    def __len__(self) -> int:
        return len(self.predictor)

    def seen(self, chosen: NDArray[np.intp]) -> tuple[NDArray[np.bool_], Floats]:
        """Return to whom of `chosen` the event came within the horizon, and how much each counts.

        Inverse probability of censoring weights (`training.tables.survival`), from `chosen` alone.
        """
        outcome = self.outcome[chosen]
        if self.years is None:
            return outcome == EVENT, np.where(np.isnan(outcome), 0.0, 1.0)
        return within_horizon(
            outcome == EVENT, self.years[chosen], self.horizon_years, outcome == OTHER_END
        )


def read_cohort(
    score: Score, path: Path, names: CohortColumns, horizon_years: float | None
) -> Cohort:
    """Read a cohort from CSV or Parquet and score it.

    Raises:
        DataError: saying what is missing or does not fit.
    """
    _require_probability(score)
    table = _table(path)
    _require_columns(table, names, path)
    columns = _inputs(score, table, {names.outcome, names.years, names.group} - {None})
    if horizon_years is not None and score.need("horizon_years") is not None:
        columns["horizon_years"] = np.full(len(table), float(horizon_years))
    scored = evaluate(score, columns, len(table))
    predictor = on_scale(score.scale, scored.values)
    chosen = np.flatnonzero(np.isfinite(predictor))
    options = _options(score, columns, chosen)
    horizon = options.get("horizon_years", score.horizon_years)
    if horizon is None or (horizon_years is not None and horizon_years != horizon):
        raise DataError(
            f"{score.id} tells the risk within {horizon:g} years; a recalibration for "
            f"{horizon_years:g} years would be another equation."
            if horizon and horizon_years
            else f"{score.id} states no horizon; name one with --horizon."
        )
    groups = table[names.group].astype(str).to_numpy() if names.group else None
    return Cohort(
        score=score,
        horizon_years=float(horizon),
        options=options,
        predictor=predictor[chosen],
        outcome=_outcomes(table, names, chosen),
        years=_years(table, names, chosen),
        groups=(np.arange(len(table)).astype(str) if groups is None else groups)[chosen],
        subgroups=_subgroups(columns, chosen),
        rows=len(table),
        refused=_refused(score, scored.status, scored.blamed, len(table) - len(chosen)),
        digest=f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}",
    )


def _require_probability(score: Score) -> None:
    if score.recalibration is not None:
        raise DataError(f"{score.id} is recalibrated already; name {score.recalibration.of.id}.")
    if score.measure is not Measure.PROBABILITY or score.scale not in (
        Scale.LOG_HAZARD,
        Scale.LOG_ODDS,
    ):
        raise DataError(
            f"{score.id} gives no probability but {score.measure.value}; intercept and slope of a "
            "linear predictor can be fitted to probabilities alone."
        )


def _table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        if path.suffix.lower() == ".csv":
            # As text: what is no number is told by the score, not guessed at here.
            return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} is not a readable table ({type(error).__name__}).") from None
    raise DataError(f"{path.name} ends in {path.suffix or 'nothing'}; expected .csv or .parquet.")


def _require_columns(table: pd.DataFrame, names: CohortColumns, path: Path) -> None:
    if table.empty:
        raise DataError(f"{path.name} has no rows.")
    for name in (names.outcome, names.years, names.group):
        if name is not None and name not in table:
            raise DataError(
                f"{path.name} has no column {name!r}; its columns are {', '.join(table)}."
            )


def _inputs(score: Score, table: pd.DataFrame, other: set[str | None]) -> dict[str, Floats]:
    wanted = {need.name for need in score.checked}
    found: dict[str, Floats] = {}
    for name in table.columns:
        meant = None if name in other else column_name(str(name), score)
        if meant is None or meant.input not in wanted:
            continue
        if meant.input in found:
            raise DataError(f"Two columns hold the input {meant.input}; keep one of them.")
        found[meant.input] = read_column(meant, table[name].to_numpy())
    absent = [need.name for need in score.needs if need.required and need.default is None]
    absent = [name for name in absent if name not in found and not _derivable(name, found)]
    if absent:
        raise DataError(
            f"{score.id} needs columns that the table does not have: {', '.join(absent)}. "
            f"`zhuzhen risk show {score.id}` lists what it takes."
        )
    return found


def _derivable(name: str, found: Mapping[str, Floats]) -> bool:
    from models.risk.inputs import INPUTS

    parts = INPUTS[name].derived_from
    return bool(parts) and all(part in found for part in parts)


def _options(score: Score, columns: Columns, chosen: NDArray[np.intp]) -> dict[str, float]:
    """Return what was asked of the equation; it must be one thing for all."""
    options = {}
    for need in score.needs:
        if need.default is None:
            continue
        given = columns.get(need.name)
        values = np.array([need.default]) if given is None else given[chosen]
        distinct = np.unique(np.where(np.isnan(values), need.default, values))
        if len(distinct) > 1:
            raise DataError(
                f"The table mixes several values of {need.name}; recalibrate for each by itself."
            )
        options[need.name] = float(distinct[0]) if len(distinct) else float(need.default)
    return options


def _outcomes(table: pd.DataFrame, names: CohortColumns, chosen: NDArray[np.intp]) -> Floats:
    given = table[names.outcome].iloc[chosen].astype(object)
    words = given.where(given.notna(), "").astype(str).str.strip().str.lower()
    strange = int((~words.isin(list(_OUTCOMES))).sum())
    if strange:
        raise DataError(
            f"{strange} values of {names.outcome} are not understood; expected 0 (no event), 1 "
            "(the event) or 2 (another end, such as death of another cause)."
        )
    found: Floats = words.map(_OUTCOMES).to_numpy(np.float64)
    unknown = int(np.isnan(found).sum())
    if names.years is not None and unknown:
        raise DataError(
            f"{unknown} people have follow-up but no {names.outcome}; write 0 where observation "
            "ended without the event."
        )
    if unknown > _MOST_UNKNOWN * max(len(found), 1):
        raise DataError(
            f"The outcome of {unknown} of {len(found)} people is not known, more than "
            f"{_MOST_UNKNOWN:.0%}. Give the years of follow-up (--time), so that those who were "
            "lost count for as long as they were seen."
        )
    return found


def _years(table: pd.DataFrame, names: CohortColumns, chosen: NDArray[np.intp]) -> Floats | None:
    if names.years is None:
        return None
    given: Floats = pd.to_numeric(table[names.years].iloc[chosen], errors="coerce").to_numpy(
        np.float64
    )
    wrong = int((~np.isfinite(given) | (given < 0)).sum())
    if wrong:
        raise DataError(
            f"{wrong} people have no years of follow-up (0 or more) in {names.years}; complete "
            "or remove these rows."
        )
    return given


_AGES = (50, 60, 70)


def _subgroups(columns: Columns, chosen: NDArray[np.intp]) -> dict[str, NDArray[np.str_]]:
    found = {}
    if "sex" in columns:
        found["sex"] = np.array(["male", "female"])[columns["sex"][chosen].astype(np.intp)]
    if "age_years" in columns:
        bands = ("below 50", "50 to 59", "60 to 69", "70 and above")
        found["age"] = np.array(bands)[np.digitize(columns["age_years"][chosen], _AGES)]
    return found


def _refused(
    score: Score, status: NDArray[np.uint8], blamed: NDArray[np.int16], left_out: int
) -> dict[str, int]:
    rows = np.flatnonzero(status > Status.EXTRAPOLATED)
    pairs = zip(status[rows].tolist(), blamed[rows].tolist(), strict=True)
    told = Counter(f"{Status(s).word}:{blamed_input(score, b) or 'value'}" for s, b in pairs)
    if left_out > len(rows):
        told["risk of exactly 0 or 100 %"] = left_out - len(rows)
    return dict(told.most_common())
