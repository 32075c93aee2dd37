"""Every reason why one person gets no number, with what was sent and when."""

from collections.abc import Mapping
from datetime import date

import numpy as np

from models.findings import Text
from models.risk.evaluation import check
from models.risk.inputs import INPUTS
from models.risk.reading import Given
from models.risk.refusals import Refusal, refusal_of
from models.risk.score import Columns, Need, Score, Status


def refusals_of(
    score: Score, person: Mapping[str, Given], full: Columns, status: Status, today: date
) -> tuple[Refusal, ...]:
    """Return every reason why there is no number, where the first to be found made `status`."""
    needs = score.checked
    late = [_from_the_future(n.name) for n in needs if _later(person.get(n.name), today)]
    if status.has_value:
        return tuple(late)
    found = [*_broken(score, person, full, needs), *late]
    # The equation itself gave no finite number.
    return tuple(found) or tuple(filter(None, (refusal_of(score, status, -1, None),)))


def _broken(
    score: Score, person: Mapping[str, Given], full: Columns, needs: tuple[Need, ...]
) -> list[Refusal]:
    found: list[Refusal] = []
    for index, need in enumerate(needs):
        status, blamed = np.zeros(1, np.uint8), np.full(1, -1, np.int16)
        with np.errstate(all="ignore"):
            check(need, index, full[need.name], status, blamed)
        if not Status(int(status[0])).has_value:
            found.append(_told(score, person, Status(int(status[0])), index, full[need.name][0]))
    with np.errstate(all="ignore"):
        for index, rule in enumerate(score.rules, len(needs)):
            if rule.broken(full)[0]:
                found.append(_told(score, person, rule.status, index, full[rule.blames][0]))
    return found


def _told(
    score: Score, person: Mapping[str, Given], status: Status, index: int, value: float
) -> Refusal:
    refusal = refusal_of(score, status, index, value)
    assert refusal is not None  # noqa: S101  # the status says that something is wrong
    given = person.get(refusal.input)
    if status is Status.NOT_UNDERSTOOD and given is not None and given.problem is not None:
        return Refusal(status, refusal.input, None, refusal.needed, given.problem)
    return refusal


def _later(given: Given | None, today: date) -> bool:
    return given is not None and given.measured_on is not None and given.measured_on > today


def _from_the_future(name: str) -> Refusal:
    label = INPUTS[name].label
    return Refusal(
        Status.IMPLAUSIBLE,
        name,
        None,
        Text("a date that is not after the day of the assessment", "不晚于评估日的日期"),
        Text(
            f"{label.en} ({name}) has a date after the day of the assessment. Check the date.",
            f"{label.zh}（{name}）的日期晚于评估日期，请核对。",
        ),
    )
