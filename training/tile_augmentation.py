"""Augmentation of stained tiles: what differs between laboratories, scanners and cuts.

stain         the amounts of haematoxylin, eosin and residual are scaled and shifted, each alone
              (Tellez et al., Med Image Anal 2019;58:101544; stain vectors of Ruifrok & Johnston,
              Anal Quant Cytol Histol 2001;23:291, as scikit-image has them)
tone          brightness and contrast of the scanner
geometry      quarter turns and mirroring, for a tile has no upright; small zoom, turn and shift
sharpness     focus
noise         the sensor's
erasing       boxes of the tile's own mean colour

The result is in levels 0 to 255; `training.batches` prepares it as serving does.
"""

from dataclasses import dataclass

import numpy as np
import torch
from monai.transforms import RandomizableTransform
from numpy.typing import NDArray
from skimage.color import hed_from_rgb, rgb_from_hed
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the name that PyTorch's own pages use

WHITE = 255.0
_DARKEST = 1.0 / WHITE
_QUARTERS = 4


@dataclass(frozen=True, slots=True)
class TileAugmentationConfig:
    """Ranges of the random changes; each is multiplied by `strength`."""

    strength: float = 1.0
    """0 turns augmentation off; the images are then resized as serving does it."""
    stain_scale: float = 0.2
    """Largest relative change of the amount of each stain."""
    stain_shift: float = 0.02
    """Largest addition to the amount of each stain, in optical density."""
    brightness: float = 0.08
    """Largest shift, as a share of white."""
    contrast_log: float = 0.15
    zoom_log: float = 0.15
    rotation_rad: float = 0.3
    """On top of the quarter turns."""
    shift: float = 0.1
    """Largest shift, in half sides of the image."""
    blur_probability: float = 0.2
    noise: float = 0.02
    """Largest standard deviation, as a share of white."""
    erase_probability: float = 0.2


class TileAugmentation(RandomizableTransform):
    """A MONAI transform of whole batches: (n, 3, rows, columns) to (n, 3, side, side)."""

    def __init__(self, config: TileAugmentationConfig, side_px: int) -> None:
        super().__init__(prob=1.0)
        self.config = config
        self.side_px = side_px
        self._to_stains = torch.from_numpy(hed_from_rgb.astype(np.float32))
        self._to_colours = torch.from_numpy(rgb_from_hed.astype(np.float32))

    # MONAI types its transforms by one argument; the classes are not needed here.
    def __call__(  # type: ignore[override]
        self, images: Tensor, positive: NDArray[np.bool_]
    ) -> Tensor:
        """Return changed copies of `images`, float32 levels 0 to 255; `positive` is not used."""
        count, strength = len(images), self.config.strength
        changed = self._blurred(self._geometry(self._turned(images)))
        changed = self._stained((changed / WHITE).clamp(_DARKEST, 1.0), count)
        contrast = torch.exp(self._uniform(self.config.contrast_log, count))
        shift = self._uniform(self.config.brightness, count)
        changed = (changed - 0.5) * _each(contrast) + 0.5 + _each(shift)
        deviation = self._uniform(self.config.noise, count).abs() * strength
        generator = torch.Generator().manual_seed(int(self.R.randint(2**31)))
        changed = changed + torch.randn(changed.shape, generator=generator) * _each(deviation)
        return self._erased(changed.clamp(0, 1)) * WHITE

    def _turned(self, images: Tensor) -> Tensor:
        quarters = self.R.randint(0, _QUARTERS, len(images))
        mirrored = self.R.random(len(images)) < 0.5
        return torch.stack(
            [
                torch.rot90(image.flip(2) if mirror else image, int(quarter), (1, 2))
                for image, quarter, mirror in zip(images, quarters, mirrored, strict=True)
            ]
        )

    def _geometry(self, images: Tensor) -> Tensor:
        config, count = self.config, len(images)
        zoom = torch.exp(self._uniform(config.zoom_log, count))
        turn = self._uniform(config.rotation_rad, count)
        matrix = torch.zeros(count, 2, 3)
        matrix[:, 0, 0] = matrix[:, 1, 1] = torch.cos(turn) * zoom
        matrix[:, 1, 0] = torch.sin(turn) * zoom
        matrix[:, 0, 1] = -matrix[:, 1, 0]
        for axis in (0, 1):
            matrix[:, axis, 2] = self._uniform(config.shift, count)
        size = [count, images.shape[1], self.side_px, self.side_px]
        grid = F.affine_grid(matrix, size, align_corners=False)
        return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)

    def _blurred(self, images: Tensor) -> Tensor:
        chosen = self.R.random(len(images)) < self.config.blur_probability * self.config.strength
        if chosen.any():
            few = torch.from_numpy(np.flatnonzero(chosen))
            padded = F.pad(images[few], (1, 1, 1, 1), mode="reflect")
            images[few] = F.avg_pool2d(padded, 3, 1)
        return images

    def _stained(self, images: Tensor, count: int) -> Tensor:
        """Change the amounts of the stains: of optical density, a linear map of the colours."""
        amounts = torch.einsum("nchw,cs->nshw", -torch.log(images), self._to_stains)
        scale = 1 + self._uniform(self.config.stain_scale, count * 3).view(count, 3, 1, 1)
        shift = self._uniform(self.config.stain_shift, count * 3).view(count, 3, 1, 1)
        density = torch.einsum("nshw,sc->nchw", amounts * scale + shift, self._to_colours)
        return torch.exp(-density.clamp(min=0.0))

    def _erased(self, images: Tensor) -> Tensor:
        side = self.side_px
        for image in images:
            if self.R.random() >= self.config.erase_probability * self.config.strength:
                continue
            height, width = self.R.randint(side // 8, side // 3, 2)
            top, left = self.R.randint(0, side - side // 8, 2)
            mean = image.mean((1, 2), keepdim=True)
            image[:, top : top + height, left : left + width] = mean
        return images

    def _uniform(self, limit: float, count: int) -> Tensor:
        drawn = self.R.uniform(-limit, limit, count) * self.config.strength
        return torch.from_numpy(drawn.astype(np.float32))


def _each(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
