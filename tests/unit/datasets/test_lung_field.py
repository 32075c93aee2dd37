import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from datasets.lung_field import MASK_SIDE, SIDE_PX, LungFinder, lungs_by_grey_level
from models.errors import DataError


def drawn(seed: int, shift: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Two dark ellipses with ribs on a bright body in black air, and where they are."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    middle = SIDE_PX / 2 + shift
    height = rng.uniform(50, 60)
    lungs = np.zeros((SIDE_PX, SIDE_PX), np.bool_)
    for side in (-1, 1):
        across = (column - middle - side * 40) / 26
        lungs |= across**2 + ((row - 100) / height) ** 2 < 1
    grey = np.where(lungs, 70.0, 170.0) + 12 * np.cos(row / 3.2)
    grey[:, :8] = grey[:, -8:] = 0
    grey = ndimage.gaussian_filter(grey, 1.5) + rng.normal(0, 5, grey.shape)
    return np.clip(grey, 0, 255).astype(np.uint8), lungs


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_clear_lungs_are_found_by_their_grey_level() -> None:
    image, lungs = drawn(1)
    found = lungs_by_grey_level(image)
    assert found is not None
    assert overlap(found, lungs) > 0.85


@pytest.mark.parametrize("level", [0, 128, 255])
def test_nothing_is_found_where_nothing_is(level: int) -> None:
    flat = np.full((SIDE_PX, SIDE_PX), level, np.uint8)
    noisy = flat + np.random.default_rng(0).integers(0, 9, flat.shape).astype(np.uint8)
    assert lungs_by_grey_level(noisy) is None


def test_lungs_are_found_where_one_of_them_is_white() -> None:
    """The shape comes from the rest of the image: an opacity does not make a lung smaller."""
    finder = LungFinder.fit(np.stack([drawn(seed, seed % 17 - 8)[0] for seed in range(21)]), 0)
    image, lungs = drawn(99, 5)
    image[60:150, SIDE_PX // 2 + 5 :][lungs[60:150, SIDE_PX // 2 + 5 :]] = 165
    (mask,) = finder(image[None])
    small = lungs.reshape(MASK_SIDE, 4, MASK_SIDE, 4).mean(axis=(1, 3)) > 0.5
    assert overlap(mask == 1, small) > 0.75


def test_too_few_clear_lungs_are_an_error() -> None:
    with pytest.raises(DataError, match="at least"):
        LungFinder.fit(np.stack([drawn(seed)[0] for seed in range(3)]), 0)
