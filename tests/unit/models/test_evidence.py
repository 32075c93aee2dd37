import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from models.evidence import heat_of, regions_of


def activation(*peaks: tuple[int, int, float]) -> np.ndarray:
    found = np.full((7, 7), -1.0, np.float32)
    for row, column, value in peaks:
        found[row, column] = value
    return found


def test_a_map_that_speaks_against_the_finding_has_no_regions() -> None:
    heat = heat_of(activation())

    assert not heat.any()
    assert regions_of(heat, rows=700, columns=700) == ()


def test_a_region_lies_where_the_map_is_strongest() -> None:
    # The third row and sixth column of seven: pixels 400-600 by 1000-1200 of 1400.
    (region,) = regions_of(heat_of(activation((2, 5, 3.0))), rows=1400, columns=1400)

    assert region.row < 500 < region.row + region.height
    assert region.column < 1100 < region.column + region.width
    assert max(region.width, region.height) <= 300


def test_regions_are_in_pixels_of_the_stored_image() -> None:
    heat = heat_of(activation((3, 1, 2.0)))

    (square,) = regions_of(heat, rows=1000, columns=1000)
    (wide,) = regions_of(heat, rows=1000, columns=2000)

    assert (wide.row, wide.height) == (square.row, square.height)
    assert (wide.column, wide.width) == (2 * square.column, 2 * square.width)


def test_the_strongest_region_comes_first_and_weak_places_are_none() -> None:
    heat = heat_of(activation((1, 1, 3.5), (5, 5, 4.0), (1, 5, 1.0)))

    regions = regions_of(heat, rows=700, columns=700)

    assert [region.row // 100 for region in regions] == [5, 1]
    assert regions[0].score > regions[1].score > 0.5


def hot(*rows: str) -> np.ndarray:
    """Heat over the whole grid, of which the upper left corner is drawn: `#` is a region's."""
    heat = np.zeros((40, 40), np.float32)
    for row, drawn in enumerate(rows):
        for column, cell in enumerate(drawn):
            heat[row, column] = 0.75 if cell == "#" else 0.25
    return heat


def test_cells_that_touch_along_edges_are_one_region() -> None:
    heat = hot(
        "##...##",
        "##...##",
        ".#.#.#.",
        ".##.##.",
        "..###..",
    )

    (region,) = regions_of(heat, rows=40, columns=40)

    assert (region.row, region.column, region.height, region.width) == (0, 0, 5, 7)
    assert region.score == pytest.approx(0.75)


def test_cells_that_touch_at_corners_are_regions_of_their_own() -> None:
    heat = hot(
        "###....",
        "###....",
        "###....",
        "...###.",
        "...###.",
        "...###.",
    )

    regions = regions_of(heat, rows=400, columns=400)

    assert [(each.row, each.column, each.height, each.width) for each in regions] == [
        (0, 0, 30, 30),
        (30, 30, 30, 30),
    ]


def test_the_ends_of_two_rows_are_no_neighbours() -> None:
    heat = np.zeros((40, 40), np.float32)
    heat[::2, 30:] = heat[1::2, :10] = 1.0

    regions = regions_of(heat, rows=40, columns=40)

    assert {(each.height, each.width) for each in regions} == {(1, 10)}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_map_that_is_not_finite_says_nothing(value: float) -> None:
    assert not heat_of(activation((2, 2, value))).any()


@given(
    arrays.arrays(np.float32, (7, 7), elements=st.floats(-50, 50, width=32)),
    st.integers(1, 3000),
    st.integers(1, 3000),
)
def test_regions_lie_within_the_image(found: np.ndarray, rows: int, columns: int) -> None:
    for region in regions_of(heat_of(found), rows=rows, columns=columns):
        assert 0 <= region.row < region.row + region.height <= rows
        assert 0 <= region.column < region.column + region.width <= columns
        assert 0 < region.score <= 1


def test_heat_shows_where_most_speaks_for_it_though_every_place_does() -> None:
    diffuse = np.full((7, 7), 2.0, np.float32)
    diffuse[1, 5] = 5.0

    heat = heat_of(diffuse)

    assert heat[:, :20].max() == 0.0
    (region,) = regions_of(heat, rows=700, columns=700)
    assert region.column > 350
    assert region.row + region.height < 350


def test_heat_of_a_map_that_is_the_same_everywhere_is_none() -> None:
    assert not heat_of(np.full((7, 7), 2.0, np.float32)).any()
