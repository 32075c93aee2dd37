import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from models.text import Text
from serving.imaging.voi_window import Window, WindowFunction, read_window

FUNCTIONS = st.sampled_from(WindowFunction)
CENTRES = st.floats(-70_000, 70_000)
WIDTHS = st.floats(1, 140_000)


@given(CENTRES, WIDTHS, FUNCTIONS)
def test_output_rises_from_black_to_white(
    centre: float, width: float, function: WindowFunction
) -> None:
    values = np.linspace(centre - 20 * width, centre + 20 * width, 401)

    shown = Window(centre, width, function).apply(values)

    assert (np.diff(shown) >= 0).all()
    assert shown[0] == pytest.approx(0, abs=1e-9)
    assert shown[-1] == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    ("function", "value", "shown"),
    [
        # PS3.3 C.11.2.1.2.1, note 2: c = 2048, w = 4096 shows 0 black, 4095 white.
        (WindowFunction.LINEAR, 0, 0.0),
        (WindowFunction.LINEAR, 4095, 1.0),
        (WindowFunction.LINEAR, 2047.5, 0.5),
        (WindowFunction.LINEAR_EXACT, 0, 0.0),
        (WindowFunction.LINEAR_EXACT, 4096, 1.0),
        (WindowFunction.LINEAR_EXACT, 2048, 0.5),
        (WindowFunction.SIGMOID, 2048, 0.5),
        (WindowFunction.SIGMOID, 3072, 1 / (1 + np.exp(-1))),
    ],
)
def test_formulae_of_the_standard(function: WindowFunction, value: float, shown: float) -> None:
    assert Window(2048, 4096, function).apply(np.array(value)) == pytest.approx(shown)


def test_window_of_width_one_is_a_threshold() -> None:
    # PS3.3 C.11.2.1.2.1, note 3: c = 2048, w = 1 shows 2047 and less black, 2048 and more white.
    shown = Window(2048, 1, WindowFunction.LINEAR).apply(np.array([2046, 2047, 2048, 2049]))

    assert shown.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("centre", "width"),
    [("40", "0"), ("40", "-5"), ("40", "0.5"), ("nan", "400"), ("40", "inf"), ("1e300", "400")],
)
def test_unusable_window_is_left_out_with_a_remark(centre: str, width: str) -> None:
    dataset, remarks = Dataset(), list[Text]()
    dataset.add_new("WindowCenter", "LO", centre)
    dataset.add_new("WindowWidth", "LO", width)

    assert read_window(dataset, remarks) is None
    assert "no usable window" in remarks[0].en


def test_first_of_several_windows_is_read() -> None:
    dataset, remarks = Dataset(), list[Text]()
    dataset.WindowCenter, dataset.WindowWidth = [450, 200], [790, 443]
    dataset.VOILUTFunction = "SIGMOID"

    assert read_window(dataset, remarks) == Window(450, 790, WindowFunction.SIGMOID)
    assert remarks == []


def test_narrow_window_is_allowed_where_the_function_allows_it() -> None:
    dataset = Dataset()
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = 0.5, 0.25, "LINEAR_EXACT"

    assert read_window(dataset, []) == Window(0.5, 0.25, WindowFunction.LINEAR_EXACT)


def test_unknown_function_is_taken_for_linear_with_a_remark() -> None:
    dataset, remarks = Dataset(), list[Text]()
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = 40, 400, "CUBIC"

    window = read_window(dataset, remarks)

    assert window == Window(40, 400, WindowFunction.LINEAR)
    assert "VOI LUT Function" in remarks[0].en
