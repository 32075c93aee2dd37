from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from serving.imaging.grayscale import StoredValues, build_display, render

TWELVE = StoredValues(12, signed=False)
ALL_TWELVE = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def _dataset(**elements: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def _table_item(first: int, entries: list[int], bits: int) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", entries)
    return item


@given(st.integers(1, 16), st.booleans())
def test_ordinals_count_up_from_the_smallest_value(bits: int, signed: bool) -> None:
    values = StoredValues(bits, signed).all_values()

    assert len(values) == 2**bits
    assert (np.diff(values) == 1).all()
    assert values[0] == (-(2 ** (bits - 1)) if signed else 0)


@given(
    st.integers(2, 16),
    st.booleans(),
    st.floats(0.01, 100),
    st.floats(-5000, 5000),
    st.floats(-5000, 5000),
    st.floats(1, 70_000),
)
def test_table_rises_and_its_inverse_falls(
    bits: int, signed: bool, slope: float, intercept: float, centre: float, width: float
) -> None:
    dataset = _dataset(
        RescaleSlope=f"{slope:.6g}",
        RescaleIntercept=f"{intercept:.6g}",
        WindowCenter=f"{centre:.6g}",
        WindowWidth=f"{max(width, 1.0):.6g}",
    )
    stored, pixels = StoredValues(bits, signed), np.zeros((2, 2), dtype=np.uint16)

    rising = build_display(dataset, stored, "MONOCHROME2", pixels).table.astype(int)
    falling = build_display(dataset, stored, "MONOCHROME1", pixels).table.astype(int)

    assert (np.diff(rising) >= 0).all()
    assert np.abs(rising + falling - 255).max() <= 1


def test_rescale_comes_before_the_window() -> None:
    # 100 stored are 100 * 2 - 1000 = -800, the middle of the window.
    dataset = _dataset(RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=-800, WindowWidth=201)

    table = build_display(dataset, TWELVE, "MONOCHROME2", ALL_TWELVE).table

    assert table[100] == 128
    assert table[40] == 0
    assert table[160] == 255


def test_modality_table_replaces_rescale() -> None:
    dataset = _dataset(RescaleSlope=5, RescaleIntercept=0, WindowCenter=128, WindowWidth=256)
    dataset.ModalityLUTSequence = Sequence([_table_item(0, [255, 128, 0], 8)])

    display = build_display(dataset, TWELVE, "MONOCHROME2", ALL_TWELVE)

    assert display.table[[0, 1, 2, 3]].tolist() == [255, 128, 0, 0]
    assert not display.commutes_with_mean


def test_voi_table_is_preferred_to_the_window() -> None:
    dataset = _dataset(WindowCenter=128, WindowWidth=256)
    dataset.VOILUTSequence = Sequence([_table_item(10, [0, 4095], 12)])

    table = build_display(dataset, TWELVE, "MONOCHROME2", ALL_TWELVE).table

    assert table[[0, 10, 11, 500]].tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
def test_malformed_table_gives_way_to_rescale_and_window(keyword: str) -> None:
    dataset = _dataset(WindowCenter=2048, WindowWidth=4096, **{keyword: Sequence([Dataset()])})

    display = build_display(dataset, TWELVE, "MONOCHROME2", ALL_TWELVE)

    assert display.table[[0, 2048, 4095]].tolist() == [0, 128, 255]
    assert "malformed" in display.remarks[0].en


@pytest.mark.parametrize("slope", ["0", "nan", "1e300"])
def test_unusable_slope_is_taken_for_one(slope: str) -> None:
    dataset = _dataset(WindowCenter=2048, WindowWidth=4096)
    dataset.add_new("RescaleSlope", "LO", slope)

    display = build_display(dataset, TWELVE, "MONOCHROME2", ALL_TWELVE)

    assert display.table[4095] == 255
    assert "Rescale Slope" in display.remarks[0].en


def test_eight_bits_without_window_are_shown_as_they_are() -> None:
    pixels = np.full((4, 4), 100, dtype=np.uint8)

    display = build_display(Dataset(), StoredValues(8, signed=False), "MONOCHROME2", pixels)

    assert display.table.tolist() == list(range(256))


def test_deeper_pixels_without_window_are_shown_over_the_range_they_fill() -> None:
    pixels = np.tile(np.arange(1000, 2000, dtype=np.uint16), (100, 1))
    pixels[0, :2] = 0, 4095  # a dead detector element and a burnt-in marker

    table = build_display(Dataset(), TWELVE, "MONOCHROME2", pixels).table

    assert table[1010] <= 2
    assert 126 <= table[1500] <= 129
    assert table[1990] >= 253


def test_even_pixels_without_window_do_not_fail() -> None:
    pixels = np.full((8, 8), 7, dtype=np.uint16)

    display = build_display(Dataset(), TWELVE, "MONOCHROME2", pixels)

    assert render(pixels, display).shape == (8, 8)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_has_no_part_in_the_range(photometric: str) -> None:
    pixels = np.tile(np.arange(1000, 2000, dtype=np.uint16), (100, 1))
    pixels[:, :500] = 4095
    dataset = _dataset(PixelPaddingValue=4095)
    dataset["PixelPaddingValue"].VR = "US"

    display = build_display(dataset, TWELVE, photometric, pixels)

    assert display.table[4095] == 0
    assert {int(display.table[1505]), int(display.table[1995])} == {1, 254} or {
        int(display.table[1500]),
        int(display.table[1999]),
    } == {0, 255}
    assert not display.commutes_with_mean


def test_padding_range_counts_from_either_end_and_in_the_sign_of_the_pixels() -> None:
    dataset = Dataset()
    dataset.add_new("PixelPaddingValue", "US", 65_536 - 2000)
    dataset.add_new("PixelPaddingRangeLimit", "SS", -1900)
    dataset.WindowCenter, dataset.WindowWidth = 0, 4096

    table = build_display(
        dataset, StoredValues(16, signed=True), "MONOCHROME1", np.zeros((2, 2), np.uint16)
    ).table

    blackened = np.flatnonzero(table == 0) - 32_768
    assert blackened[0] == -2000
    assert blackened[100] == -1900
    assert blackened[101] > 0


@given(st.integers(300, 60_000), st.integers(0, 65_535))
def test_mean_before_the_table_agrees_with_mean_after(width: int, centre: int) -> None:
    stored = StoredValues(16, signed=False)
    dataset = _dataset(WindowCenter=centre, WindowWidth=width)
    rng = np.random.default_rng(width)
    inside = rng.uniform(max(0, centre - width / 2), min(65_535, centre + width / 2), 64)
    pixels = inside.round().astype(np.uint16).reshape(8, 8)

    display = build_display(dataset, stored, "MONOCHROME2", pixels)

    assert display.commutes_with_mean
    before = render(np.array([[pixels.mean().round()]], dtype=np.uint16), display)
    assert abs(int(before[0, 0]) - render(pixels, display).mean()) <= 1.5
