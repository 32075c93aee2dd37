"""What the card says of the paired comparison with the champion."""

from collections.abc import Mapping, Sequence
from typing import Any

from training.against_champion import KEY
from training.card_tables import table_of
from training.comparison import Difference

CAPTION = (
    "This version and the champion before it: ROC, reliability, and paired differences with their "
    "95 % intervals; the bar is the loss that the gate accepts."
)
_FIGURES = {
    "auc": "AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "brier": "Brier score",
    "calibration_error": "expected calibration error",
}


def champion_section(evaluation: Mapping[str, Any], units: str) -> str:
    """Return the section; empty for an evaluation that was made before there was one.

    Args:
        evaluation: content of `evaluation.json`.
        units: what is resampled whole, in the plural: patients, slides, people.
    """
    facts = evaluation.get(KEY)
    if facts is None:
        return ""
    return "\n".join(["## Against the champion · 与现行版本的配对比较", "", *_told(facts, units)])


def _told(facts: Mapping[str, Any], units: str) -> list[str]:
    champion = facts["champion"]
    if champion is None:
        return [
            "No version was champion where this one was made, so it was held against none. Whoever "
            "promotes it over another one finds the comparison in the decision "
            "(`zhuzhen models history`).",
            "",
            "制作本版本时尚无现行版本，因此没有配对比较。",
        ]
    if "not_compared" in facts:
        return [
            f"Champion where this one was made: {champion['version']} "
            f"`{champion['digest']}`. It was not held against it: {facts['not_compared']}",
            "",
            f"当时的现行版本为 {champion['version']}，未能进行配对比较，原因见上。",
        ]
    return _compared(facts, units)


def _compared(facts: Mapping[str, Any], units: str) -> list[str]:
    champion = facts["champion"]
    # Of networks that were taken over: the comparison is that of the version they were made for.
    made = f"{facts['held_as']}, which has these networks," if "held_as" in facts else "this one"
    accepted = facts["accepted_losses"]
    found = [Difference(**each) for each in facts["differences"]]
    rows = [_row(each, accepted) for each in found]
    heads = ("finding", "figure", "champion", "this version", "difference (95 % interval)")
    table = table_of((*heads, "loss accepted"), rows)
    return [
        f"Champion where {made} was made: {champion['version']} `{champion['digest']}`. Both "
        f"answered the same {facts['samples']} samples of its locked set ({facts['groups']} "
        f"{units}), which neither has learnt from. A difference is this version less the champion; "
        f"its interval is from {facts['draws']} draws of {units}, the same for both, so that what "
        "both find hard cancels out. The last column is what the gate accepts at the worse end of "
        "the interval.",
        "",
        *table,
        "",
        " ".join(_alone(label, each) for label, each in facts["right_alone"].items()),
        "",
        _verdict([each for each in found if each.beyond(accepted)]),
        "",
        f"与当时的现行版本 {champion['version']} 在其锁定集的同一批 {facts['samples']} 例样本上逐例"
        "比较；差值为本版本减现行版本，区间由成对重抽样得到，含 0 即未见差异。",
    ]


def _verdict(lost: Sequence[Difference]) -> str:
    if not lost:
        return (
            "By these figures the gate finds it no worse than that champion (non-inferiority). "
            "按此结果，通过了不劣于该现行版本的检验。"
        )
    told = ", ".join(f"{_FIGURES[each.figure]} of {each.label}" for each in lost)
    return (
        "By these figures the gate does not let it take that champion's place (non-inferiority): "
        f"more than is accepted may be lost of {told}. "
        "按此结果，未通过不劣于该现行版本的检验。"
    )


def _row(each: Difference, accepted: Mapping[str, float]) -> str:
    return (
        f"| {each.label} | {_FIGURES[each.figure]} | {each.first:.3f} | {each.second:.3f} | "
        f"{each.difference:+.3f} ({each.low:+.3f} to {each.high:+.3f}) | {each.kept(accepted)} |"
    )


def _alone(label: str, each: Mapping[str, int]) -> str:
    return (
        f"{label}: {each['second']} samples are called rightly by this version alone, "
        f"{each['first']} by the champion alone."
    )
