"""A piece of a stained slide once its bytes are read: its colours and its facts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.radiograph import RadiographFacts


@dataclass(frozen=True, slots=True)
class Tile:
    """Decoded colours of one tile, as a person would see them, with its facts."""

    pixels: NDArray[np.uint8]
    """Shape (rows, columns, 3): red, green, blue, 0 to 255."""
    rows: int
    """Rows of the stored image."""
    columns: int
    """Columns of the stored image."""
    facts: RadiographFacts

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if (
            len(shape) != 3
            or shape[2] != 3
            or self.pixels.dtype != np.uint8
            or not self.pixels.size
        ):
            raise ValueError(
                "Tile.pixels must be a non-empty uint8 array of (rows, columns, 3), found shape "
                f"{shape} of {self.pixels.dtype}."
            )

    @property
    def grey(self) -> NDArray[np.uint8]:
        """The luminance, shape (rows, columns): ITU-R BT.601 as Pillow has it."""
        return np.asarray(Image.fromarray(self.pixels).convert("L"))
