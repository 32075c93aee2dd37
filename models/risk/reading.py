"""From what a sender wrote to numbers: decimals, words, units and dates, strictly.

What cannot be understood becomes infinite in a column, which no equation accepts, and is told.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from unicodedata import normalize

import numpy as np

from models.findings import Text
from models.risk.column_names import ColumnName
from models.risk.input_kinds import Input, Kind
from models.risk.inputs import INPUTS
from models.risk.score import Floats
from models.risk.units import UnitError, conversion

_DECIMAL = re.compile(r"[+-]?(\d{1,15}(\.\d{0,20})?|\.\d{1,20})([eE][+-]?\d{1,2})?", re.ASCII)
"""Programs write a double with up to 17 digits, after up to three zeros: 3.8000000000000003."""
_YES = frozenset(("1", "true", "yes", "y", "t", "是", "有", "√"))
_NO = frozenset(("0", "false", "no", "n", "f", "否", "无", "×"))
_MISSING = frozenset(
    ("", "na", "n/a", "#n/a", "nan", "null", "none", "-", "--", "/", "未测", "未查", "不详", "未知")
)
_LONGEST = 64

NOT_UNDERSTOOD = float("inf")


@dataclass(frozen=True, slots=True)
class Given:
    """One input as it was given and as it is used."""

    name: str
    value: float
    """In the input's unit; the index of the word for a choice; infinite if not understood."""
    told: object
    """The value as it was sent."""
    unit: str | None = None
    """As it was sent, where it is not the input's own."""
    measured_on: date | None = None
    problem: Text | None = None
    """Why it was not understood."""


def read_value(name: str, sent: object) -> Given:
    """Read one input: a bare value, or `{"value": ..., "unit": ..., "date": "2026-11-25"}`."""
    entry = INPUTS[name]
    unit: object = None
    measured: object = None
    if isinstance(sent, Mapping):
        whole: Mapping[str, object] = sent
        if set(whole) - {"value", "unit", "date"} or "value" not in whole:
            return _refused(name, None, _SHAPE)
        sent, unit, measured = whole["value"], whole.get("unit"), whole.get("date")
    measured_on = _date(measured)
    if measured is not None and measured_on is None:
        return _refused(name, sent, _DATE)
    if unit is not None and entry.kind is not Kind.NUMBER:
        return _refused(name, sent, _NO_UNIT)
    value = number_of(entry, sent)
    if np.isinf(value):
        return _refused(name, sent, _expected(entry))
    if unit is None or unit == entry.unit:
        return Given(name, value, sent, None, measured_on)
    sibling = _SIBLINGS.get((name, str(unit)), name)
    entry = INPUTS[sibling]
    try:
        factor, offset = conversion(entry, unit if isinstance(unit, str) else "")
    except UnitError:
        return _refused(name, sent, _unit_expected(entry, unit))
    return Given(sibling, value * factor + offset, sent, str(unit), measured_on)


_SIBLINGS = {
    # Staged in the unit that was reported.
    ("urine_acr_mg_mmol", "mg/g"): "urine_acr_mg_g",
    ("urine_acr_mg_g", "mg/mmol"): "urine_acr_mg_mmol",
}


def read_column(column: ColumnName, values: Sequence[object] | np.ndarray) -> Floats:
    """Read a column of a table, each cell as `read_value` would; shape (people,)."""
    entry = INPUTS[column.input]
    factor, offset = (1.0, 0.0) if column.unit is None else conversion(entry, column.unit)
    table = np.asarray(values)
    plain = table.dtype.kind in "fiu" and entry.kind is Kind.NUMBER and not entry.whole
    if plain or (table.dtype.kind == "b" and entry.kind is Kind.FLAG):
        numbers = table.astype(np.float64)
    else:
        numbers = _cell_by_cell(entry, column.words, table)
    return numbers if column.unit is None else numbers * factor + offset


def _cell_by_cell(entry: Input, words: Mapping[str, str] | None, cells: np.ndarray) -> Floats:
    if cells.dtype.kind in "fiub":
        distinct, places = np.unique(cells, return_inverse=True)
        meant = [number_of(entry, cell, words) for cell in distinct.tolist()]
        return np.array(meant, np.float64)[places]
    known: dict[tuple[type, object], float] = {}
    numbers = np.empty(len(cells))
    for place, cell in enumerate(cells.tolist()):
        key = (type(cell), cell if isinstance(cell, str | int | float) else id(cell))
        if key not in known:
            known[key] = number_of(entry, cell, words)
        numbers[place] = known[key]
    return numbers


def number_of(entry: Input, sent: object, words: Mapping[str, str] | None = None) -> float:
    """Return the number of one cell: NaN where it is empty, infinite where not understood."""
    if sent is None or (isinstance(sent, float) and np.isnan(sent)):
        return float("nan")
    if isinstance(sent, str):
        sent = _plain_text(sent)
        if sent.lower() in _MISSING and not _is_word(entry, sent):
            return float("nan")
    if entry.kind is not Kind.NUMBER:
        return _word(entry, sent, words)
    if isinstance(sent, bool):
        return NOT_UNDERSTOOD
    if isinstance(sent, str) and entry.unit == "%":
        sent = sent.removesuffix("%").rstrip()
    number = _decimal(sent)
    return NOT_UNDERSTOOD if entry.whole and not number.is_integer() else number


def _plain_text(sent: str) -> str:
    """Return what was written without what keyboards and spreadsheets add around it: spaces, and
    the full-width digits and letters of Chinese input methods.
    """
    return (sent if sent.isascii() else normalize("NFKC", sent[: _LONGEST + 1])).strip()


def _is_word(entry: Input, sent: str) -> bool:
    word = sent.lower()
    return word in entry.choices or word in (entry.synonyms or {})


def _decimal(sent: object) -> float:
    if isinstance(sent, str):
        if len(sent) > _LONGEST or not _DECIMAL.fullmatch(sent):
            return NOT_UNDERSTOOD
        return float(sent)
    if isinstance(sent, int | float | np.integer | np.floating):
        try:
            number = float(sent)
        except OverflowError:
            return NOT_UNDERSTOOD
        return number if np.isfinite(number) else NOT_UNDERSTOOD
    return NOT_UNDERSTOOD


def _word(entry: Input, sent: object, words: Mapping[str, str] | None) -> float:
    if isinstance(sent, float) and sent.is_integer():
        sent = int(sent)
    if not isinstance(sent, str | int | bool | np.bool_):
        return NOT_UNDERSTOOD
    # Spreadsheets and data frames write the 1 of a column with empty cells as 1.0.
    word = str(sent).lower()[:_LONGEST].removesuffix(".0")
    if words is not None:
        word = words.get(word, "")
    if entry.kind is Kind.FLAG:
        return 1.0 if word in _YES else 0.0 if word in _NO else NOT_UNDERSTOOD
    word = (entry.synonyms or {}).get(word, word)
    by_case = word if word in entry.choices else word.upper()
    return float(entry.places[by_case]) if by_case in entry.places else NOT_UNDERSTOOD


def _date(sent: object) -> date | None:
    if isinstance(sent, date):
        return sent
    if not isinstance(sent, str) or len(sent) > _LONGEST:
        return None
    try:
        return date.fromisoformat(sent[:10])
    except ValueError:
        return None


_SHAPE = Text(
    'an object with "value" and, where needed, "unit" and "date"',
    "含“value”及必要时“unit”、“date”的对象",
)
_DATE = Text("a date such as 2026-11-25", "日期应写作2026-11-25格式")
_NO_UNIT = Text("a value without a unit", "不带单位的值")


def _expected(entry: Input) -> Text:
    if entry.kind is Kind.FLAG:
        return Text("true or false", "true（是）或false（否）")
    if entry.kind is Kind.CHOICE:
        words = ", ".join(entry.choices)
        return entry.takes or Text(f"one of {words}", f"下列之一：{words}")
    kind = ("a whole number", "整数") if entry.whole else ("a number", "数值")
    unit = f" in {entry.unit}" if entry.unit else ""
    unit_zh = f"（单位{entry.unit}）" if entry.unit else ""
    return Text(f"{kind[0]}{unit}", f"{kind[1]}{unit_zh}")


def _unit_expected(entry: Input, unit: object) -> Text:
    shown = unit if isinstance(unit, str) and unit.isprintable() and len(unit) <= 20 else "?"
    return Text(
        f"the unit {entry.unit or 'none'} or one that converts to it (UCUM), not {shown}",
        f"单位应为{entry.unit or '无'}或可换算的UCUM单位，而非{shown}",
    )


def _refused(name: str, sent: object, expected: Text) -> Given:
    label = INPUTS[name].label
    return Given(
        name,
        NOT_UNDERSTOOD,
        sent,
        problem=Text(
            f"{label.en} ({name}) was not understood; expected {expected.en}.",
            f"无法识别{label.zh}（{name}）；应为{expected.zh}。",
        ),
    )
