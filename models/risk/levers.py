"""What the number would be with one modifiable input at its target: an observation, no promise.

Targets: systolic pressure below 130 mmHg where tolerated (Chinese guidelines for the management of
hypertension, 2024); total cholesterol below 5.2 mmol/L (Chinese guideline for lipid management,
2023); BMI below 24 kg/m2, waist below 85 cm in men and 80 cm in women (WS/T 428-2013).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.findings import Text
from models.risk.input_kinds import Kind
from models.risk.inputs import INPUTS
from models.risk.score import Columns, Floats, Measure, Score
from models.risk.shown import shown, shown_unit

_TARGETS: Mapping[str, tuple[float, float]] = {
    "sbp_mmhg": (130, 130),
    "total_cholesterol_mmol_l": (5.2, 5.2),
    "bmi_kg_m2": (23.9, 23.9),
    "waist_cm": (84.9, 79.9),
    "current_smoker": (0, 0),
    "physically_active": (1, 1),
    "daily_vegetables_or_fruit": (1, 1),
}
"""For men, for women."""

_FACTS_AT_TARGET: Mapping[str, Text] = {
    "current_smoker": Text("people who do not smoke", "不吸烟者"),
    "physically_active": Text("people active every day", "每天规律身体活动者"),
    "daily_vegetables_or_fruit": Text("people who eat them every day", "每天食用蔬菜或水果者"),
}


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The score with one input at its target and all else as it is."""

    input: str
    target: float
    value: float
    told: Text


def targets_of(score: Score, columns: Columns) -> dict[str, float]:
    """Return the target of each input that one person (columns of one) could bring there."""
    sex = columns.get("sex", _UNKNOWN)[0]
    if not np.isfinite(sex):
        return {}
    barred = {name for name, of in score.not_levers if INPUTS["sex"].places[of] == sex}
    found = {}
    for name in score.levers:
        present, target = columns.get(name, _UNKNOWN)[0], _TARGETS[name][int(sex)]
        better = INPUTS[name].kind is Kind.FLAG and present == 1 - target
        if name not in barred and (better or present > target):
            found[name] = float(target)
    return found


_UNKNOWN = np.array([np.nan])


def with_targets(columns: Columns, targets: Mapping[str, float]) -> Columns:
    """Return one person as the first row, and then with each input at its target by itself."""
    varied = {name: np.full(1 + len(targets), column[0]) for name, column in columns.items()}
    for row, (name, target) in enumerate(targets.items(), 1):
        varied[name][row] = target
    return varied


def what_ifs_of(score: Score, targets: Mapping[str, float], values: Floats) -> tuple[WhatIf, ...]:
    """Return what can be told, the lowest number first; `values` are those of `with_targets`."""
    found = (
        WhatIf(name, target, float(changed), _told(score, name, target, float(changed)))
        for (name, target), changed in zip(targets.items(), values[1:], strict=True)
        # NaN, or no lower: nothing that would be worth telling.
        if changed < values[0]
    )
    return tuple(sorted(found, key=lambda one: one.value))


def _told(score: Score, name: str, target: float, changed: float) -> Text:
    label, fact = INPUTS[name].label, _FACTS_AT_TARGET.get(name)
    number, number_zh = shown_value(score, changed)
    told = shown(name, target) or label
    who = fact.en if fact else f"people with {label.en} of {told.en}"
    who_zh = fact.zh if fact else f"{label.zh}为{told.zh}者"
    return Text(
        f"For {who} and the same otherwise, the equation gives {number}. This compares people; it "
        "is no promised effect of treatment.",
        f"其他条件相同时，{who_zh}按本公式计算为{number_zh}。此为人群间的观察性比较，不代表干预后的预期效果。",
    )


def shown_value(score: Score, value: float) -> tuple[str, str]:
    """Return a value of a score as it is shown, in English and in Chinese."""
    if score.measure is Measure.PROBABILITY:
        # 0.0 % would say that nothing can happen.
        return ("<1 %", "<1%") if value < 1 else (f"{value:.1f} %", f"{value:.1f}%")
    number = f"{value:.{score.decimals}f}"
    if score.measure is Measure.POINTS:
        return f"{number} points", f"{number}分"
    unit = shown_unit(score.unit)
    return f"{number}{unit.en}", f"{number}{unit.zh}"
