"""What a clinician gets for one person: the number with everything that is needed to judge it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from models.errors import InputError
from models.findings import Text
from models.risk.column_names import column_name
from models.risk.contributions import Contribution, contributions_of
from models.risk.derived import complete, how_derived
from models.risk.evaluation import evaluate
from models.risk.input_kinds import Kind
from models.risk.inputs import INPUTS
from models.risk.levers import WhatIf, shown_value, targets_of, what_ifs_of, with_targets
from models.risk.person_refusals import refusals_of
from models.risk.reading import Given, read_value
from models.risk.refusals import Refusal, refusal_of
from models.risk.score import Band, Columns, Measure, Score, Status
from models.risk.shown import shown

NOTICE = Text(
    "Decision support for professionals; not a cleared medical device.",
    "仅供专业人员辅助决策；未经医疗器械注册审批。",
)


@dataclass(frozen=True, slots=True)
class InputUsed:
    """One input as it went into the equation."""

    name: str
    value: float
    """In the input's own unit; the index of the word for a choice."""
    shown: Text
    label: Text
    measured_on: date | None = None
    sent_as: str | None = None
    """Value and unit as they were sent, where they were converted."""
    derived: Text | None = None
    """How it follows from other inputs, where it was not given."""
    assumed: bool = False
    """An option of the equation that nobody asked for and that has a stated default."""
    old: bool = False
    """Measured longer ago than such a measurement holds."""


@dataclass(frozen=True, slots=True)
class StageFound:
    """One stage beside the value, such as G3a."""

    name: str
    label: Text
    stage: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """The answer of one score for one person."""

    score: Score
    status: Status
    assessed_on: date
    value: float | None
    """In `score.unit`, unrounded; None where there is no number."""
    shown: Text
    """The value as it is shown, or that there is none."""
    category: Band | None = None
    near_edge: Text | None = None
    """Set where the value is closer to the limit of a category than the equation is exact."""
    horizon_years: float | None = None
    stages: tuple[StageFound, ...] = ()
    alerts: tuple[Text, ...] = ()
    """To be told whatever the value is."""
    remarks: tuple[Text, ...] = ()
    """Extrapolated, derived, old, assumed or unknown: what to mind about this value."""
    refusals: tuple[Refusal, ...] = ()
    """Why there is no number; all reasons, not the first alone."""
    inputs: tuple[InputUsed, ...] = ()
    contributions: tuple[Contribution, ...] = ()
    what_ifs: tuple[WhatIf, ...] = ()

    def __post_init__(self) -> None:
        if (self.value is None) == self.status.has_value or bool(self.refusals) == (
            self.value is not None
        ):
            raise ValueError("An assessment has either a value or refusals, never both or neither.")

    @property
    def summary(self) -> Text:
        """One line: which score, what it says."""
        title = self.score.title
        if self.category is None:
            return Text(f"{title.en}: {self.shown.en}", f"{title.zh}：{self.shown.zh}")
        label = self.category.label
        if self.score.measure is Measure.CLASS:
            return Text(f"{title.en}: {label.en}", f"{title.zh}：{label.zh}")
        return Text(
            f"{title.en}: {self.shown.en} ({label.en})",
            f"{title.zh}：{self.shown.zh}（{label.zh}）",
        )


def read_person(sent: Mapping[str, object], score: Score | None = None) -> dict[str, Given]:
    """Read what is known about one person, by the input's name.

    Args:
        sent: values, or objects with value, unit and date, by the names of inputs or by the other
            names of `models.risk.column_names`.
        score: for names whose meaning depends on the score.

    Raises:
        InputError: a name is not known, or an input is given twice.
    """
    given: dict[str, Given] = {}
    for name, value in sent.items():
        known = column_name(name, score)
        if known is None:
            raise InputError(_unknown(name))
        if known.words is not None:
            value = known.words.get(str(value).strip().lower(), value)
        if known.unit is not None and not isinstance(value, Mapping) and value is not None:
            value = {"value": value, "unit": known.unit}
        one = read_value(known.input, value)
        if one.name in given:
            raise InputError(f"The input {one.name} is given twice, under two names.")
        given[one.name] = one
    return given


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    told = name if len(name) <= 40 and name.isprintable() else "a name that is too long"
    near = get_close_matches(name[:40], INPUTS, n=1)
    hint = f"; did you mean {near[0]}?" if near else "."
    return f"There is no input {told!r}{hint} The page docs/risk-scores.md lists the inputs."


_UNKNOWN = np.array([np.nan])


def columns_of(given: Mapping[str, Given]) -> Columns:
    """Return one person's inputs as columns of one."""
    return {name: np.array([one.value]) for name, one in given.items()}


def assess(
    score: Score,
    person: Mapping[str, Given],
    *,
    today: date | None = None,
    explain: bool = True,
) -> Assessment:
    """Score one person and tell everything that is needed to judge the number.

    Without `explain` there are no contributions and no what-ifs, which take most of the time: for
    populations.
    """
    today = today or date.today()
    full = _full_columns(score, columns_of(person))
    # The person and every what-if at once: a call for each would take as long as each.
    targets = targets_of(score, full) if explain else {}
    outcome = evaluate(score, with_targets(full, targets), 1 + len(targets))
    status = Status(int(outcome.status[0]))
    inputs = _inputs_used(score, person, full, today)
    refusals = refusals_of(score, person, full, status, today)
    if refusals:
        return _without_value(score, refusals, today, inputs)
    value = float(outcome.values[0])
    en, zh = shown_value(score, value)
    return Assessment(
        score=score,
        status=status,
        assessed_on=today,
        value=value,
        shown=Text(en, zh),
        category=score.bands[outcome.bands[0]] if outcome.bands[0] >= 0 else None,
        near_edge=_near_edge(score, full, value),
        horizon_years=_horizon(score, full),
        stages=_stages(score, full),
        alerts=tuple(alert.told for alert in score.alerts if alert.applies(full)[0]),
        remarks=_remarks(score, full, inputs, status, int(outcome.blamed[0])),
        inputs=inputs,
        contributions=contributions_of(score, full) if explain else (),
        what_ifs=what_ifs_of(score, targets, outcome.values),
    )


def _stages(score: Score, full: Columns) -> tuple[StageFound, ...]:
    return tuple(
        StageFound(stage.name, stage.label, stage.names[int(stage.stage(full)[0])])
        for stage in score.stages
    )


_NO_VALUE = Text("no value", "无结果")


def _without_value(
    score: Score, refusals: tuple[Refusal, ...], today: date, inputs: tuple[InputUsed, ...]
) -> Assessment:
    return Assessment(
        score,
        refusals[0].status,
        today,
        None,
        _NO_VALUE,
        horizon_years=score.horizon_years,
        refusals=refusals,
        inputs=inputs,
    )


def _full_columns(score: Score, columns: Columns) -> Columns:
    """Return every column that the score looks at, with defaults and what was derived."""
    needs = score.checked
    empty = {
        need.name: np.array([np.nan if need.default is None else float(need.default)])
        for need in needs
    }
    known = {name: columns[name] for name in empty if name in columns}
    filled = {name: column for name, column in known.items() if not np.isnan(column[0])}
    return complete({**empty, **filled}, needs)


def _inputs_used(
    score: Score, person: Mapping[str, Given], full: Columns, today: date
) -> tuple[InputUsed, ...]:
    used = (
        _input_used(name, float(column[0]), person.get(name), today)
        for name, column in full.items()
        if np.isfinite(column[0])
    )
    return tuple(used)


def _input_used(name: str, value: float, given: Given | None, today: date) -> InputUsed:
    entry = INPUTS[name]
    known = given is not None and not np.isnan(given.value)
    when = given.measured_on if given is not None and known else None
    old = (
        when is not None and entry.lasts_days is not None and (today - when).days > entry.lasts_days
    )
    sent_as = f"{given.told} {given.unit}" if given is not None and known and given.unit else None
    derived = None if known or not entry.derived_from else how_derived(name)
    return InputUsed(
        name,
        value,
        shown(name, value) or Text("", ""),
        entry.label,
        when,
        sent_as,
        derived,
        not known and derived is None,
        old,
    )


def _horizon(score: Score, full: Columns) -> float | None:
    if score.horizon_years is not None or "horizon_years" not in full:
        return score.horizon_years
    return float(full["horizon_years"][0])


def _near_edge(score: Score, full: Columns, value: float) -> Text | None:
    if score.measure not in (Measure.PROBABILITY, Measure.QUANTITY) or not score.bands:
        return None
    edges = (
        score.edges_of(full)
        if score.edges_of is not None
        else tuple(band.from_value for band in score.bands if np.isfinite(band.from_value))
    )
    # What is shown is rounded; a value that rounding carries over a limit is near it, too.
    error = max(score.known_error, 0.5 * 10**-score.decimals)
    near = [edge for edge in edges if abs(value - edge) <= error]
    if not near:
        return None
    return Text(
        f"Within {error:g} of the limit {near[0]:g}: the category could be the neighbouring one.",
        f"结果距分级切点{near[0]:g}不足{error:g}，处于临界，分级可能为相邻一级。",
    )


def _remarks(
    score: Score, full: Columns, inputs: tuple[InputUsed, ...], status: Status, blamed: int
) -> tuple[Text, ...]:
    remarks = _on_recalibration(score, full)
    needs = score.checked
    if status is Status.EXTRAPOLATED:
        mark = refusal_of(score, status, blamed, float(full[needs[blamed].name][0]))
        if mark is not None:
            remarks.append(mark.told)
    for used in inputs:
        remarks += _remarks_on(used)
    for need in score.needs:
        excluded = INPUTS[need.name].kind is Kind.FLAG and need.low == need.high
        of_men = need.name == "pregnant" and full.get("sex", _UNKNOWN)[0] == 0
        if excluded and np.isnan(full[need.name][0]) and not of_men:
            remarks.append(_not_told(need.name, wanted=need.low == 1))
    return tuple(remarks)


def _on_recalibration(score: Score, full: Columns) -> list[Text]:
    made = score.recalibration
    if made is None:
        return []
    en, zh = shown_value(made.of, float(made.of.kernel(full)[0]))
    return [
        Text(
            f"{made.told.en} The published {made.of.id} gives {en}.",
            f"{made.told.zh}原公式（{made.of.id}）结果为{zh}。",
        )
    ]


def _remarks_on(used: InputUsed) -> list[Text]:
    label = used.label
    remarks = []
    if used.derived is not None:
        remarks.append(
            Text(
                f"{label.en} {used.shown.en} was derived {used.derived.en}.",
                f"{label.zh}{used.shown.zh}，{used.derived.zh}。",
            )
        )
    if used.assumed:
        remarks.append(
            Text(
                f"Not told: {label.en} ({used.name}); {used.shown.en} was used.",
                f"未提供{label.zh}（{used.name}），按“{used.shown.zh}”计算。",
            )
        )
    if used.old:
        remarks.append(
            Text(
                f"{label.en} is of {used.measured_on}, which is old; measure again.",
                f"{label.zh}测量于{used.measured_on}，时间较久，建议复测。",
            )
        )
    return remarks


def _not_told(name: str, *, wanted: bool) -> Text:
    label = INPUTS[name].label
    return Text(
        f"Not told whether {label.en} ({name}); the score is for people "
        f"{'with' if wanted else 'without'} it.",
        f"未说明是否有“{label.zh}”（{name}）；本评分仅适用于{'有' if wanted else '无'}此项者。",
    )
