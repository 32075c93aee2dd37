"""Values, units and words as people write them, in both languages."""

from collections.abc import Mapping

import numpy as np

from models.findings import Text
from models.risk.input_kinds import Kind
from models.risk.inputs import INPUTS

_UNITS: Mapping[str, Text] = {
    "": Text("", ""),
    "1": Text("", ""),
    "{score}": Text(" points", "分"),
    "a": Text(" years", "岁"),
    "%": Text(" %", "%"),
    "mm[Hg]": Text(" mmHg", " mmHg"),
    "kg/m2": Text(" kg/m²", " kg/m²"),
    "/min": Text("/min", "次/分"),
    "Cel": Text(" °C", "°C"),
    "umol/L": Text(" µmol/L", " µmol/L"),
    "10*9/L": Text(" ×10⁹/L", "×10⁹/L"),
    "mL/min/{1.73_m2}": Text(" mL/min/1.73 m²", " mL/min/1.73m²"),
}
"""UCUM is for machines; units not named here are read by people as they are."""

_WORDS_ZH: Mapping[str, str] = {
    "male": "男",
    "female": "女",
    "north": "北方",
    "south": "南方",
    "urban": "城市",
    "rural": "农村",
    "white": "白人",
    "black": "黑人",
    "other": "其他",
    "north_america": "北美",
    "low": "低",
    "moderate": "中",
    "high": "高",
    "very_high": "很高",
    "none": "无",
    "second_degree": "二级亲属",
    "first_degree": "一级亲属",
}


def shown_unit(unit: str) -> Text:
    """Return a UCUM unit as it stands after a number."""
    return _UNITS.get(unit, Text(f" {unit}", f" {unit}"))


def word_zh(word: str) -> str:
    """Return a word of a choice with its meaning in Chinese."""
    return f"{word}（{_WORDS_ZH[word]}）" if word in _WORDS_ZH else word


def shown(name: str, value: float | None) -> Text | None:
    """Return a value of the input `name` as people write it, None where there is none."""
    entry = INPUTS[name]
    if value is None or not np.isfinite(value):
        return None
    if entry.kind is Kind.FLAG:
        return Text("yes", "是") if value else Text("no", "否")
    if entry.kind is Kind.CHOICE:
        if not 0 <= value < len(entry.choices):
            return None
        word = entry.choices[int(value)]
        return Text(word.replace("_", " "), _WORDS_ZH.get(word, word))
    unit = Text(" years", "年") if name == "horizon_years" else shown_unit(entry.unit)
    number = f"{value:.0f}" if _ROUND <= abs(value) < _ABSURD else f"{value:.4g}"
    return Text(f"{number}{unit.en}", f"{number}{unit.zh}")


_ROUND, _ABSURD = 10_000, 1e9
