"""What the number would be with one modifiable input at its target: an observation, no promise.

Targets: systolic pressure below 130 mmHg where tolerated (Chinese guidelines for the management of
hypertension, 2024); total cholesterol below 5.2 mmol/L (Chinese guideline for lipid management,
2023); BMI below 24 kg/m2, waist below 85 cm in men and 80 cm in women (WS/T 428-2013).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.findings import Text
from models.risk.evaluation import evaluate
from models.risk.input_kinds import Kind
from models.risk.inputs import INPUTS
from models.risk.score import Columns, Measure, Score
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


def what_ifs_of(score: Score, columns: Columns, value: float) -> tuple[WhatIf, ...]:
    """Return what can be told for one person (columns of one), the lowest number first."""
    sex = columns.get("sex", _UNKNOWN)[0]
    barred = {name for name, of in score.not_levers if INPUTS["sex"].places[of] == sex}
    found = (_what_if(score, columns, value, name) for name in score.levers if name not in barred)
    return tuple(sorted((one for one in found if one), key=lambda one: one.value))


_UNKNOWN = np.array([np.nan])


def _what_if(score: Score, columns: Columns, value: float, name: str) -> WhatIf | None:
    present = columns.get(name, _UNKNOWN)[0]
    sex = columns.get("sex", _UNKNOWN)[0]
    if np.isnan(present) or np.isnan(sex):
        return None
    target = _TARGETS[name][int(sex)]
    better = INPUTS[name].kind is Kind.FLAG and present != target
    if not better and not present > target:
        return None
    outcome = evaluate(score, {**columns, name: np.array([float(target)])}, 1)
    changed = float(outcome.values[0])
    # NaN, or no lower: nothing that would be worth telling.
    if not changed < value:
        return None
    return WhatIf(name, float(target), changed, _told(score, name, target, changed))


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
