"""By which rule the operating point of a model was chosen, and on what, for evaluation and card.

The value alone stands in `calibration.json`; who reads sensitivity and specificity must know what
they were traded for.
"""

from collections.abc import Mapping
from typing import Any

from training.calibrating import CalibrationConfig

KEY = "operating_point"
"""Where `evaluation.json` has the rule."""
EXCLUSIVE = "exclusive"
"""The rule of labels that exclude each other: a half, whatever the configuration says."""
_HIGHEST = {
    "accuracy": ("accuracy", "准确率"),
    "balanced_accuracy": (
        "mean of sensitivity and specificity (balanced accuracy)",
        "灵敏度与特异度均值（平衡准确率）",
    ),
}


def operating_point_facts(
    config: CalibrationConfig, part: str, *, exclusive: bool = False, matched: bool = False
) -> dict[str, Any]:
    """Return the rule for `evaluation.json`.

    Args:
        config: by which the calibration was fitted.
        part: what it was fitted to, in English and without an article.
        exclusive: whether the labels exclude each other.
        matched: whether images counted so that their acquisition tells less of the class.
    """
    if exclusive:
        return {"rule": EXCLUSIVE}
    if config.operating_point == "fixed":
        return {"rule": "fixed"}
    weighed = {
        "shift_power": config.shift_power if matched else 0.0,
        "prevalence": config.prevalence,
        "augmented_copies": config.augmented_copies,
        "scenario_weight": config.scenario_weight,
    }
    return {
        "rule": config.operating_point,
        "part": part,
        "weighed": {name: value for name, value in weighed.items() if value},
    }


def rule_lines(evaluation: Mapping[str, Any], *, counted: str = "images") -> list[str]:
    """Return what the card says of the rule, below a blank line; nothing of older evaluations.

    `counted` is what counts in it: images, people.
    """
    facts = evaluation.get(KEY)
    if facts is None:
        return []
    if facts["rule"] == EXCLUSIVE:
        return [
            "",
            "Operating points: a class is called where it is likelier than all others together "
            "(0.5), which was set beforehand and not chosen on any data. "
            "工作点：某类概率高于其余各类之和（0.5）即判为该类，事先设定，未在数据上选取。",
        ]
    if facts["rule"] == "fixed":
        return [
            "",
            "The operating point was set beforehand and not chosen on any data. "
            "工作点为事先设定，未在数据上选取。",
        ]
    en, zh = _HIGHEST[facts["rule"]]
    return [
        "",
        f"The operating point was chosen on {facts['part']}: the threshold with the highest {en} "
        "there, or the middle one of several. No sensitivity or specificity was "
        f"demanded.{_weighed(facts['weighed'], counted)}{_found_there(evaluation)} "
        f"工作点取使所述数据上{zh}最高的阈值，未预设灵敏度或特异度要求。",
    ]


def _weighed(weighed: Mapping[str, float], counted: str) -> str:
    told = []
    if "shift_power" in weighed:
        told.append(
            "so that the classes look as if acquired more alike (matched weights to the power of "
            f"{weighed['shift_power']:g})"
        )
    if "prevalence" in weighed:
        told.append(f"so that {weighed['prevalence']:.1%} have the finding")
    if "augmented_copies" in weighed:
        told.append(f"with {weighed['augmented_copies']} augmented copies of each")
    if "scenario_weight" in weighed:
        told.append(
            "also as each acquisition scenario would have made them (weight "
            f"{weighed['scenario_weight']:g} each)"
        )
    return f" {counted.capitalize()} counted for it {', '.join(told)}." if told else ""


def _found_there(evaluation: Mapping[str, Any]) -> str:
    """Return what it gives on the part that it was chosen on; of one label."""
    figures = evaluation["validation"].get("figures", {})
    if "sensitivity" not in figures:
        return ""
    return (
        f" On that part itself, as it is, sensitivity is {figures['sensitivity']['value']:.3f} and "
        f"specificity {figures['specificity']['value']:.3f}."
    )
