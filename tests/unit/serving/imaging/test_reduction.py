import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serving.imaging.reduction import area_mean, reduced_length, reduction_factor

IMAGES = hnp.arrays(
    st.sampled_from([np.uint8, np.uint16]), hnp.array_shapes(min_dims=2, max_dims=2, max_side=23)
)


@given(IMAGES, st.integers(1, 9))
def test_each_pixel_is_the_mean_of_its_block(pixels: np.ndarray, factor: int) -> None:
    reduced = area_mean(pixels, factor)

    rows, columns = pixels.shape
    assert reduced.shape == (reduced_length(rows, factor), reduced_length(columns, factor))
    assert reduced.dtype == pixels.dtype
    for row, column in np.ndindex(reduced.shape):
        block = pixels[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
        assert abs(int(reduced[row, column]) - block.astype(np.float64).mean()) <= 0.5


@given(st.integers(1, 5000), st.integers(1, 255))
def test_reduced_side_differs_by_half_a_pixel_at_most(length: int, factor: int) -> None:
    reduced = reduced_length(length, factor)

    assert reduced == 1 or abs(reduced - length / factor) <= 0.5


def test_largest_sum_does_not_overflow() -> None:
    pixels = np.full((255, 255), 65_535, dtype=np.uint16)

    assert area_mean(pixels, 255).tolist() == [[65_535]]


@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 1024))
def test_both_sides_stay_twice_as_long_as_the_target(rows: int, columns: int, side: int) -> None:
    factor = reduction_factor(rows, columns, side)

    shorter = min(rows, columns)
    assert factor == 1 or shorter // factor >= 2 * side
    assert factor == 255 or shorter // (factor + 1) < 2 * side or shorter < 6 * side


@pytest.mark.parametrize(
    ("rows", "columns", "factor"), [(1955, 1841, 4), (1343, 4000, 1), (1344, 1344, 3), (10, 10, 1)]
)
def test_factor_for_a_network_of_224(rows: int, columns: int, factor: int) -> None:
    assert reduction_factor(rows, columns, 224) == factor
