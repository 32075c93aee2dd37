"""From stored values to what a person sees: modality LUT, VOI LUT, presentation, padding.

The whole chain of PS3.3 C.11.1, C.11.2 and C.7.6.3.1.2 is worked out once for every value that
can be stored, as a table of at most 65,536 grey levels; the image is then one look-up.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from models.text import Text
from serving.imaging.dicom_values import is_filled, items, number
from serving.imaging.lookup_table import LookupTable, read_table
from serving.imaging.pixel_padding import padded_values
from serving.imaging.voi_window import read_window

DISPLAY_MAXIMUM = 255
_RANGE_PERCENTILES = (0.5, 99.5)
"""Share of pixels, in percent, outside the range shown where the header gives none: burnt-in
markers and dead detector elements must not decide the contrast."""
_SAMPLED_SIDE = 256
"""Pixels along the shorter side by which that range is found, or up to twice as many."""


@dataclass(frozen=True, slots=True)
class StoredValues:
    """The numbers an image can hold, and how its array holds them.

    Arrays carry ordinals: 0 for the smallest value, so that means of pixels are means of values.
    """

    bits: int
    """1 to 16."""
    signed: bool

    @property
    def minimum(self) -> int:
        """The value of ordinal 0."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    def all_values(self) -> NDArray[np.int64]:
        """Every value by its ordinal, shape (2**bits,)."""
        return np.arange(1 << self.bits, dtype=np.int64) + self.minimum


@dataclass(frozen=True, slots=True)
class Display:
    """Grey level of each stored value."""

    table: NDArray[np.uint8]
    """Shape (2**bits,), by ordinal; 0 black to 255 white in the sense of MONOCHROME2."""
    commutes_with_mean: bool
    """Whether the mean of pixels may be taken before the look-up: the table is linear within
    its window, fine enough, and has no padding value."""
    remarks: tuple[Text, ...]
    shown_range: tuple[float, float] | None = None
    """What is shown from black to white (of MONOCHROME2), in the unit of the modality LUT's output,
    where the pixels decided it and not the header; None for all that can be stored."""


def build_display(
    dataset: Dataset, stored: StoredValues, photometric: str, ordinals: NDArray[Any]
) -> Display:
    """The display table that the header asks for.

    `ordinals`: the pixels, shape (rows, columns); what is shown is chosen by them where the
    header has neither a VOI LUT nor a window.
    """
    remarks: list[Text] = []
    values = stored.all_values()
    padding = padded_values(dataset, values)
    modality, modality_is_linear = _apply_modality(dataset, stored, values, remarks)
    voi = _read_voi_table(dataset, stored, remarks)
    shown_range: tuple[float, float] | None = None
    window = None if voi is not None else read_window(dataset, remarks)
    if voi is not None:
        shown = voi.apply(modality) / (2**voi.bits - 1)
        linear = False
    elif window is not None:
        shown = window.apply(modality)
        linear = window.is_linear
    else:
        if stored.bits > 8 or not modality_is_linear:
            shown_range = _shown_range(modality, ordinals, padding)
        low, high = shown_range or (float(modality.min()), float(modality.max()))
        shown = np.clip((modality - low) / max(high - low, 1e-9), 0.0, 1.0)
        linear = True
    if photometric == "MONOCHROME1":
        shown = 1.0 - shown
    table = np.rint(shown * DISPLAY_MAXIMUM).astype(np.uint8)
    table[padding] = 0
    # Every step of the table must be at most one grey level, or the mean's rounding would show.
    fine = stored.bits > 8 and int(np.abs(np.diff(table.astype(np.int16))).max(initial=0)) <= 1
    commutes = linear and modality_is_linear and fine and not padding.any()
    return Display(table, commutes, tuple(remarks), shown_range)


def _apply_modality(
    dataset: Dataset, stored: StoredValues, values: NDArray[np.int64], remarks: list[Text]
) -> tuple[NDArray[np.float64], bool]:
    """Output of the modality LUT or rescale (PS3.3 C.11.1) and whether it is linear."""
    sequence = items(dataset, "ModalityLUTSequence")
    if sequence:
        table = read_table(sequence[0], signed=stored.signed)
        if table is not None:
            return table.apply(values), False
        remarks.append(
            Text(
                "The table of Modality LUT Sequence (0028,3000) is malformed; not used.",
                "Modality LUT 序列 (0028,3000) 的查找表无效，未采用。",
            )
        )
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    if is_filled(dataset, "RescaleSlope") and (slope is None or not 1e-9 <= abs(slope) <= 1e9):
        remarks.append(
            Text(
                "Rescale Slope (0028,1053) is not a usable number; 1 was used.",
                "重缩放斜率 (0028,1053) 无效，已采用 1。",
            )
        )
        slope = None
    intercept = intercept if intercept is not None and abs(intercept) <= 1e12 else 0.0
    return values.astype(np.float64) * (slope or 1.0) + intercept, True


def _read_voi_table(
    dataset: Dataset, stored: StoredValues, remarks: list[Text]
) -> LookupTable | None:
    sequence = items(dataset, "VOILUTSequence")
    if not sequence:
        return None
    intercept = number(dataset, "RescaleIntercept") or 0.0
    table = read_table(sequence[0], signed=stored.signed or intercept < 0)
    if table is None:
        remarks.append(
            Text(
                "The table of VOI LUT Sequence (0028,3010) is malformed; not used.",
                "VOI LUT 序列 (0028,3010) 的查找表无效，未采用。",
            )
        )
    return table


def _shown_range(
    modality: NDArray[np.float64], ordinals: NDArray[Any], padding: NDArray[np.bool_]
) -> tuple[float, float]:
    """What to show from black to white where the header does not say.

    Images of 8 bits are display-ready as a rule and keep all of their range; deeper ones show
    the range that their pixels fill.
    """
    step = max(1, min(ordinals.shape) // _SAMPLED_SIDE)
    histogram = np.bincount(ordinals[::step, ::step].ravel(), minlength=len(modality))
    histogram = histogram[: len(modality)]
    histogram[padding] = 0
    total = int(histogram.sum())
    if total == 0:
        return float(modality.min()), float(modality.max())
    order = np.argsort(modality, kind="stable")
    cumulative = np.cumsum(histogram[order]) / total * 100.0
    low, high = (
        float(modality[order[int(np.searchsorted(cumulative, percentile))]])
        for percentile in _RANGE_PERCENTILES
    )
    return (low, high) if high > low else (low, low + 1.0)


def render(ordinals: NDArray[Any], display: Display) -> NDArray[np.uint8]:
    """Grey levels of an array of ordinals, same shape."""
    return np.take(display.table, ordinals, mode="clip")
