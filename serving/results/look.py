"""How a source image is to look, for a presentation state on it.

A presentation state replaces what the image itself says of rescaling, lookup tables and windows
(PS3.4 N.2.1): what it does not say again is not applied, and the image looks dull or black. What
the header says of it is taken over as far as it can be used, and as the pictures of readings use
it: a table goes before a window.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from highdicom import VOILUT, ModalityLUTTransformation
from highdicom.pr import SoftcopyVOILUTTransformation
from pydicom.dataset import Dataset

from serving.imaging.dicom_values import items, number
from serving.imaging.lookup_table import LookupTable, read_table
from serving.imaging.voi_window import WindowFunction, read_window

_MOST_SIGNED = 2**15 - 1
_WHITE = 2**16 - 1


@dataclass(frozen=True, slots=True)
class Look:
    """What is done to stored values before they are shown."""

    modality: ModalityLUTTransformation | None = None
    """A rescaling (PS3.3 C.11.1); None for the identity."""
    voi: SoftcopyVOILUTTransformation | None = None
    """PS3.3 C.11.8; None for the identity."""


def look_of(dataset: Dataset, valid: dict[str, Any]) -> Look:
    """Return how the image of `dataset` is to look; `valid` has its single values that may be used.

    What cannot be used is left out: the image is then shown as it is stored.
    """
    signed = number(dataset, "PixelRepresentation") == 1
    for item in items(dataset, "ModalityLUTSequence")[:1]:
        table = _usable(read_table(item, signed=signed))
        if table is not None:
            return Look(voi=_in_one(dataset, table))
    below_zero = (number(dataset, "RescaleIntercept") or 0.0) < 0
    tables = _voi_tables(dataset, signed=signed or below_zero)
    made = [_written(table, item) for table, item in tables]
    voi = SoftcopyVOILUTTransformation(voi_luts=made) if made else _window(valid)
    return Look(_rescale(valid), voi)


def voi_of_range(low: float, high: float) -> SoftcopyVOILUTTransformation:
    """Return the window that shows from `low` as black to `high` as white.

    By the function LINEAR, which every viewer knows (PS3.3 C.11.2.1.2.1).
    """
    return SoftcopyVOILUTTransformation(
        window_center=round((low + high + 1) / 2, 4),
        window_width=round(high - low + 1, 4),
        window_explanation="Range that the AI pre-read showed",
    )


def _in_one(dataset: Dataset, modality: LookupTable) -> SoftcopyVOILUTTransformation:
    """Return a modality table and what comes after it as one table of what is shown.

    The depth of tables in presentation states is 8 or 16, so that one of 12 bits alone would have
    to be stretched, and the window in its units with it.
    """
    values = modality.entries.astype(np.float64)
    tables, window = _voi_tables(dataset, signed=False), read_window(dataset, [])
    if tables:
        shown = tables[0][0].apply(values) / (2 ** tables[0][0].bits - 1)
    elif window is not None:
        shown = window.apply(values)
    else:
        shown = values / (2**modality.bits - 1)
    entries = np.rint(shown * _WHITE).astype(np.uint16)
    return SoftcopyVOILUTTransformation(
        voi_luts=[_written(LookupTable(modality.first, entries, 16), Dataset())]
    )


def _rescale(valid: dict[str, Any]) -> ModalityLUTTransformation | None:
    slope, intercept = valid.get("RescaleSlope"), valid.get("RescaleIntercept")
    if not _is_one_number(slope) or not _is_one_number(intercept) or slope == 0:
        return None
    unit = valid.get("RescaleType")
    return ModalityLUTTransformation(
        rescale_intercept=intercept,
        rescale_slope=slope,
        rescale_type=unit if isinstance(unit, str) else "US",
    )


def _voi_tables(dataset: Dataset, *, signed: bool) -> list[tuple[LookupTable, Dataset]]:
    """Return each table that can be used, with the item that it is of."""
    found = [
        (_usable(read_table(item, signed=signed)), item)
        for item in items(dataset, "VOILUTSequence")
    ]
    return [(table, item) for table, item in found if table is not None]


def _window(valid: dict[str, Any]) -> SoftcopyVOILUTTransformation | None:
    centres, widths = _numbers(valid.get("WindowCenter")), _numbers(valid.get("WindowWidth"))
    function = valid.get("VOILUTFunction")
    function = function if function in set(WindowFunction) else None
    narrowest = 1.0 if function in (None, WindowFunction.LINEAR) else 1e-9
    if not centres or len(centres) != len(widths) or widths[0] < narrowest:
        return None
    names = valid.get("WindowCenterWidthExplanation")
    name = names[0] if isinstance(names, list) else names
    # The first, which is what is shown unless somebody chooses: others have no place here.
    return SoftcopyVOILUTTransformation(
        window_center=centres[0],
        window_width=widths[0],
        window_explanation=name if isinstance(name, str) and name else None,
        voi_lut_function=function,
    )


def _usable(table: LookupTable | None) -> LookupTable | None:
    """Return the table if its descriptor can be written."""
    if table is None or (table.first < 0 and len(table.entries) > _MOST_SIGNED):
        return None
    return table


def _written(table: LookupTable, item: Dataset) -> VOILUT:
    """Return a table as it is written: 16 bits deep, so that white stays white (PS3.3 C.11.8)."""
    deep = np.rint(table.entries * (_WHITE / (2**table.bits - 1))).astype(np.uint16)
    made = VOILUT(0, deep, _explanation(item))
    # highdicom knows no first value below 0.
    del made.LUTDescriptor
    count = len(table.entries) % 2**16
    made.add_new("LUTDescriptor", "SS" if table.first < 0 else "US", [count, table.first, 16])
    return made


def _explanation(item: Dataset) -> str | None:
    told = item.get("LUTExplanation")
    return told if isinstance(told, str) and 0 < len(told) <= 64 else None


def _is_one_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _numbers(value: Any) -> list[float]:
    if isinstance(value, Iterable) and not isinstance(value, str):
        return list(value)
    return [value] if _is_one_number(value) else []
