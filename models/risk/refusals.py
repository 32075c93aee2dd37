"""Why there is no number, in words: which input, what was found, what is needed."""

from dataclasses import dataclass

from models.findings import Text
from models.risk.input_kinds import Kind
from models.risk.inputs import INPUTS
from models.risk.score import Need, Score, Status
from models.risk.shown import shown, shown_unit, word_zh


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that stands in the way of a number, or marks it as extrapolated."""

    status: Status
    input: str
    """Name of the input to look at."""
    found: Text | None
    """As people write it; None where nothing was given."""
    needed: Text | None
    """What the score takes; None where the sentence alone says it."""
    told: Text


def refusal_of(score: Score, status: Status, blamed: int, found: float | None) -> Refusal | None:
    """Put the outcome of one check into words, None where all is well.

    Args:
        score: what was computed.
        status: of one person.
        blamed: as in `evaluation.Outcome`.
        found: value of the blamed input in its own unit, if there is one.
    """
    if status is Status.OK:
        return None
    needs = score.checked
    if blamed < 0:
        return Refusal(status, "", None, None, _NO_NUMBER)
    if blamed >= len(needs):
        rule = score.rules[blamed - len(needs)]
        return Refusal(status, rule.blames, shown(rule.blames, found), None, rule.told)
    need = needs[blamed]
    needed, told = needed_text(need), shown(need.name, found)
    return Refusal(
        status,
        need.name,
        told,
        needed,
        _told(score, need, status, told or Text("", ""), needed),
    )


_NO_NUMBER = Text(
    "The equation gives no finite number for these inputs.", "按所给数据，公式无法得出有效数值。"
)


def blamed_input(score: Score, blamed: int) -> str | None:
    """Return the name of the input that a check blames."""
    needs = score.checked
    if blamed < 0:
        return None
    return needs[blamed].name if blamed < len(needs) else score.rules[blamed - len(needs)].blames


def _told(score: Score, need: Need, status: Status, found: Text, needed: Text) -> Text:
    entry = INPUTS[need.name]
    en, zh = f"{entry.label.en} ({need.name})", f"{entry.label.zh}（{need.name}）"
    if status is Status.MISSING:
        parts = ", ".join(entry.derived_from)
        return Text(
            f"{en} is missing; needed: {needed.en}{f'; or {parts}' if parts else ''}.",
            f"缺少{zh}；需要：{needed.zh}{f'；或提供{parts}' if parts else ''}。",
        )
    if status is Status.NOT_UNDERSTOOD:
        return Text(
            f"{en} was not understood; needed: {needed.en}.", f"无法识别{zh}；需要：{needed.zh}。"
        )
    if status is Status.IMPLAUSIBLE:
        limits, unit = _span(entry.low, entry.high), shown_unit(entry.unit)
        return Text(
            f"{en} is {found.en}, which is not plausible ({limits.en}{unit.en}). "
            "Check the value and its unit.",
            f"{zh}为{found.zh}，超出合理范围（{limits.zh}{unit.zh}），请核对数值和单位。",
        )
    if status is Status.EXTRAPOLATED:
        return Text(
            f"{en} is {found.en}; {score.id} was made for {needed.en}. The value is extrapolated.",
            f"{zh}为{found.zh}，超出{score.title.zh}的适用范围（{needed.zh}），结果为外推值，仅供参考。",
        )
    if entry.kind is Kind.FLAG:
        return Text(
            f"{en} is {found.en}; {score.id} is only for people for whom it is {needed.en}.",
            f"{zh}为“{found.zh}”，{score.title.zh}仅适用于此项为{needed.zh}者。",
        )
    return Text(
        f"{en} is {found.en}; {score.id} is meant for {needed.en}.",
        f"{zh}为{found.zh}，{score.title.zh}适用范围为{needed.zh}。",
    )


def needed_text(need: Need) -> Text:
    """Say what a score needs of an input."""
    entry = INPUTS[need.name]
    if entry.kind is Kind.FLAG:
        if need.low == need.high:
            return Text("true", "“是”") if need.low == 1 else Text("false", "“否”")
        return Text("true or false", "true（是）或false（否）")
    if entry.kind is Kind.CHOICE:
        if entry.takes is not None:
            return entry.takes
        words = need.choices or entry.choices
        return Text(f"one of {', '.join(words)}", f"{'、'.join(map(word_zh, words))}之一")
    low, high = max(need.low, entry.low), min(need.high, entry.high)
    span = _span(low, high, below=need.below and high == need.high)
    unit = shown_unit(entry.unit)
    return Text(f"{span.en}{unit.en}", f"{span.zh}{unit.zh}")


def _span(low: float, high: float, *, below: bool = False) -> Text:
    if below:
        return Text(f"{low:g} to below {high:g}", f"≥{low:g}且<{high:g}")
    return Text(f"{low:g} to {high:g}", f"{low:g}–{high:g}")
