from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from models.chest_template import SIDE_PX, WAYS, ChestTemplate, Way, small, ways_back
from models.preprocessing import standardise

Grey = NDArray[np.uint8]
TURN: dict[str, Callable[[Grey], Grey]] = {
    "upright": lambda image: image,
    "upside down": np.flipud,
    "turned left": lambda image: np.rot90(image, 1),
    "turned right": lambda image: np.rot90(image, -1),
}


def presented(image: Grey, way: Way) -> Grey:
    turned: Grey = np.ascontiguousarray(TURN[way.turn](image))
    return np.bitwise_not(turned) if way.inverted else turned


def made_up_chest(seed: int = 0) -> Grey:
    """Return what is bright below and on the left, so that all eight ways differ."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    image = 60 + 8 * row - 2 * column + rng.normal(0, 5, row.shape)
    grey: Grey = np.clip(image, 0, 255).astype(np.uint8)
    return grey


TEMPLATE = ChestTemplate(standardise(made_up_chest(), 3.0) / np.float32(SIDE_PX), margin=1.0)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_each_way_is_told_and_turned_back(way: Way) -> None:
    image = made_up_chest(seed=1)
    wrong = presented(image, way)
    assert TEMPLATE.presented(wrong) == way
    back = ways_back(small(wrong)[np.newaxis])[0, WAYS.index(way)]
    np.testing.assert_allclose(back.reshape(SIDE_PX, SIDE_PX), small(image), atol=1e-4)


def test_the_first_way_is_the_right_one_and_needs_no_margin() -> None:
    assert WAYS[0] == Way("upright", inverted=False)
    doubtful = ChestTemplate(TEMPLATE.weights, margin=1e3)
    assert doubtful.presented(presented(made_up_chest(), WAYS[5])) == WAYS[0]


def test_what_shows_nothing_is_not_called_wrong() -> None:
    assert TEMPLATE.presented(np.full((224, 224), 128, np.uint8)) == WAYS[0]
