"""Which way round a frontal chest radiograph is presented: turned, upside down, inverted.

A radiograph that lies on its head, or whose grey levels were inverted on the way (MONOCHROME1 taken
for MONOCHROME2, PS3.3 C.7.6.3.1.2), looks to a network much like one that does not, and what it
then says means nothing. A chest has an up and a down, and air is dark: a template of 16 x 16
weights knows both. The image is turned back by each of eight ways in which it may be presented;
the product with the template says how well it then looks like a chest that is presented rightly,
and the softmax over the eight is the probability of each way (conditional logit; McFadden 1974).

`training.chest_template` fits it and measures it: docs/chest-presentation.md.
"""

from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.findings import Text
from models.preprocessing import resize, standardise

FILE = Path(__file__).with_suffix(".npz")
SIDE_PX = 16
_CLIP = 3.0
"""Standard deviations: burnt-in letters and collimators count no more than bone and air."""

Square = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Way:
    """One way in which a radiograph is presented."""

    turn: str
    """A key of `TURNS`."""
    inverted: bool
    """Whether air is bright and bone dark."""


TURNS: dict[str, Text] = {
    "upright": Text("upright", "正立"),
    "upside down": Text("upside down", "上下颠倒"),
    "turned left": Text("turned by a quarter to the left", "向左旋转了 90 度"),
    "turned right": Text("turned by a quarter to the right", "向右旋转了 90 度"),
}
"""A picture that hangs on its head is upside down whether it was turned or mirrored: left and
right are not told apart, since a heart may lie on either side."""
WAYS = tuple(Way(turn, inverted) for inverted, turn in product((False, True), TURNS))
"""The first is the right one."""


@dataclass(frozen=True, slots=True)
class ChestTemplate:
    """What tells the eight ways apart."""

    weights: Square
    """Shape (SIDE_PX, SIDE_PX)."""
    margin: float
    """Log odds against the right way from which on a radiograph is taken for presented wrongly."""

    def presented(self, grid: NDArray[np.uint8]) -> Way:
        """Return how the chest radiograph `grid`, shape (rows, columns), is presented."""
        scores = ways_back(small(grid)[np.newaxis])[0] @ self.weights.ravel()
        likeliest = int(scores.argmax())
        return WAYS[likeliest if scores[likeliest] - scores[0] > self.margin else 0]

    def save(self, path: Path) -> None:
        """Write to `path` as an .npz file."""
        np.savez(path, weights=self.weights.astype(np.float32), margin=np.float64(self.margin))


@cache
def chest_template() -> ChestTemplate:
    """Return the template that comes with the project."""
    with np.load(FILE, allow_pickle=False) as stored:
        return ChestTemplate(stored["weights"], float(stored["margin"]))


def small(grid: NDArray[np.uint8]) -> Square:
    """Return a radiograph as what the template is held against: small, contrast taken out."""
    return standardise(resize(grid, SIDE_PX), _CLIP)


def ways_back(images: Square) -> Square:
    """Return images of shape (n, SIDE_PX, SIDE_PX), each turned back by every one of `WAYS`.

    Shape (n, ways, SIDE_PX * SIDE_PX). Of standardised levels, minus is the inverse.
    """
    # In the order of TURNS; np.rot90 turns to the left by so many quarters.
    from_left, from_right = np.rot90(images, -1, (1, 2)), np.rot90(images, 1, (1, 2))
    turned = np.stack([images, images[:, ::-1], from_left, from_right], axis=1)
    flat = turned.reshape(len(images), len(TURNS), -1)
    back: Square = np.concatenate([flat, -flat], axis=1)
    return back
