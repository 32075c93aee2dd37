"""Single values out of a data set, whatever a broken file made of them."""

import math
import re
from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset

_CODE_STRING = re.compile(r"[A-Z0-9_ ]{1,16}")
"""The repertoire and length of the value representation CS (PS3.5 6.2)."""


def first_value(dataset: Dataset, keyword: str) -> Any:
    """The first value of an element; `None` where it is absent, empty or cannot be parsed."""
    try:
        value = dataset.get(keyword)
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            value = value[0] if len(value) else None
    except Exception:  # noqa: BLE001 - a malformed value makes pydicom raise errors of any type
        return None
    return value


def number(dataset: Dataset, keyword: str) -> float | None:
    """The first value as a finite number."""
    value = first_value(dataset, keyword)
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def whole_number(dataset: Dataset, keyword: str) -> int | None:
    """The first value as a whole number."""
    value = number(dataset, keyword)
    return int(value) if value is not None and value == int(value) else None


def text(dataset: Dataset, keyword: str) -> str | None:
    """The first value as stripped text, `None` where nothing is left."""
    value = first_value(dataset, keyword)
    if not isinstance(value, str):
        return None
    return value.strip(" \0") or None


def code_string(dataset: Dataset, keyword: str) -> str | None:
    """The first value if it is a code string, in upper case.

    Anything else in such an element may be free text about the patient and is not used.
    """
    value = text(dataset, keyword)
    if value is None:
        return None
    value = value.upper()
    return value if _CODE_STRING.fullmatch(value) else None


def is_filled(dataset: Dataset, keyword: str) -> bool:
    """Whether the element is there and has a value, readable or not."""
    try:
        return keyword in dataset and dataset.get_item(keyword).value not in (None, "", b"", [])
    except Exception:  # noqa: BLE001 - as above
        return True


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence, none where it is absent or cannot be parsed."""
    try:
        sequence = dataset.get(keyword)
        return [item for item in sequence or [] if isinstance(item, Dataset)]
    except Exception:  # noqa: BLE001 - as above
        return []


def has(dataset: Dataset, keyword: str) -> bool:
    """Whether the element is there at all."""
    return keyword in dataset


def numbers(dataset: Dataset, keyword: str) -> list[int] | bytes | None:
    """All values of an element of whole numbers, or its bytes where it is stored as words."""
    try:
        value = dataset.get(keyword)
        if isinstance(value, bytes):
            return value
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [int(entry) for entry in value]
        return None if value is None else [int(value)]
    except Exception:  # noqa: BLE001 - as above
        return None
