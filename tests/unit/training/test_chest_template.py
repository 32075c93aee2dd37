"""The template is fitted to what is presented rightly, and then tells what is not."""

import numpy as np
from numpy.typing import NDArray

from models.chest_template import SIDE_PX, WAYS
from tests.kermany_samples import made_up_radiograph
from training.chest_template import (
    PRESENTED,
    Counted,
    fit,
    framed_anew,
    measure,
    page,
)

IMAGES = 40


def heads_up(seed: int) -> NDArray[np.uint8]:
    """Return made-up lungs over something dark: as they are, they have no up and no down."""
    image = made_up_radiograph(seed, opacity=False).astype(np.float64)
    image[-16:] *= 0.4
    grey: NDArray[np.uint8] = image.astype(np.uint8)
    return grey


def test_fitted_to_some_it_tells_how_others_are_presented() -> None:
    grids = np.stack([heads_up(seed) for seed in range(IMAGES)])
    images = framed_anew(grids, seed=0)
    assert images.shape[0] == IMAGES
    assert images.shape[2:] == (SIDE_PX, SIDE_PX)
    counts = measure(grids, images, np.array([f"child {at // 2}" for at in range(IMAGES)]))
    assert counts["as it is"].images == IMAGES
    assert counts["as it is"].wrong <= 1
    for name in PRESENTED:
        assert counts[name].wrong >= IMAGES - 2, name


def test_fitted_template_prefers_the_right_way() -> None:
    grids = np.stack([heads_up(seed) for seed in range(IMAGES)])
    template = fit(framed_anew(grids, seed=1).reshape(-1, SIDE_PX, SIDE_PX))
    assert template.weights.dtype == np.float32
    assert template.presented(heads_up(1_000)) == WAYS[0]


def test_page_gives_counts_with_intervals() -> None:
    told = page({"as it is": Counted(3, 5216), "inverted": Counted(50, 50)}, "sha256:1")
    assert "| as it is | 3 of 5216 | 0.06% | 0.02% to 0.17% |" in told
    assert "| inverted | 50 of 50 | 100.00% | 92.87% to 100.00% |" in told
    assert "not a cleared medical device" in told
