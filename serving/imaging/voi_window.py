"""Window centre and width, with the three functions of PS3.3 C.11.2.1.2 and C.11.2.1.3."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from models.text import Text
from serving.imaging.dicom_values import code_string, has, is_filled, number

_LARGEST_EXPONENT = 700.0
"""exp of more than this overflows a double."""


class WindowFunction(StrEnum):
    """VOI LUT Function (0028,1056)."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True, slots=True)
class Window:
    """One window, in the unit of the modality LUT's output."""

    centre: float
    width: float
    """>= 1 for LINEAR, > 0 for the others."""
    function: WindowFunction

    @property
    def is_linear(self) -> bool:
        """Whether the output is a straight line between the window's ends."""
        return self.function is not WindowFunction.SIGMOID

    def apply(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """The values shown: 0.0 (minimum) to 1.0 (maximum), same shape."""
        offsets = np.asarray(values, dtype=np.float64) - self.centre
        if self.function is WindowFunction.SIGMOID:
            exponent = np.clip(-4.0 * offsets / self.width, None, _LARGEST_EXPONENT)
            result: NDArray[np.float64] = 1.0 / (1.0 + np.exp(exponent))
            return result
        if self.function is WindowFunction.LINEAR_EXACT:
            return np.clip(offsets / self.width + 0.5, 0.0, 1.0)
        # LINEAR: black up to c - 0.5 - (w-1)/2, white above c - 0.5 + (w-1)/2.
        if self.width == 1:
            return np.where(offsets + 0.5 > 0, 1.0, 0.0)
        return np.clip((offsets + 0.5) / (self.width - 1.0) + 0.5, 0.0, 1.0)


def read_window(dataset: Dataset, remarks: list[Text]) -> Window | None:
    """The first window of the header; `None`, with a remark, where it cannot be used."""
    if not (is_filled(dataset, "WindowCenter") and is_filled(dataset, "WindowWidth")):
        return None
    centre, width = number(dataset, "WindowCenter"), number(dataset, "WindowWidth")
    function = _read_function(dataset, remarks)
    narrowest = 1.0 if function is WindowFunction.LINEAR else 1e-9
    if centre is None or width is None or not narrowest <= width <= 1e12 or abs(centre) > 1e12:
        remarks.append(
            Text(
                "Window Center (0028,1050) and Window Width (0028,1051) are no usable window; the "
                "range of the pixels was used.",
                "窗位 (0028,1050) 与窗宽 (0028,1051) 无效，已按像素值范围显示。",
            )
        )
        return None
    return Window(centre, width, function)


def _read_function(dataset: Dataset, remarks: list[Text]) -> WindowFunction:
    name = code_string(dataset, "VOILUTFunction")
    if name in set(WindowFunction):
        return WindowFunction(name)
    if has(dataset, "VOILUTFunction") and is_filled(dataset, "VOILUTFunction"):
        remarks.append(
            Text(
                "VOI LUT Function (0028,1056) is unknown; LINEAR was used.",
                "VOI LUT 函数 (0028,1056) 未知，已采用 LINEAR。",
            )
        )
    return WindowFunction.LINEAR
