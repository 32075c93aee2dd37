"""Augmentation against what differs between acquisitions, and against burnt-in markers.

The published splits of `chest_xray_kermany` differ in how they were acquired, and its classes do
too (`datasets.acquisition`). Each step takes away one acquisition fact that a network could lean
on:

geometry      zoom, aspect ratio (it was not kept), rotation, shift, mirroring, black or repeated
              borders: collimation and positioning
sharpness     blur or unsharp masking: detector, resampling, JPEG
tone curve    gamma, contrast, brightness: exposure and the vendor's processing
field         a smooth additive field: heel effect, scatter, anti-scatter grid
noise         dose
erasing       boxes, mostly in the upper corners where side markers are burnt in
counter-shift half the images are pushed, all facts at once, towards how the *other* class was
              acquired, so that acquisition and class point in opposite directions as often as in
              the same

Geometry resamples the stored image to the network's side in one step, so pixels are interpolated
once. The result is in grey levels; `training.batches` standardises it as serving does.
"""

from dataclasses import dataclass

import numpy as np
import torch
from monai.transforms import RandomizableTransform
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the name that PyTorch's own pages use

_BLUR_RADIUS_PX = 4
_FIELD_CELLS = 4
FIELD_PX = 4
"""Pixels of the network's input on each side of a cell of a moved field."""
WHITE = 255.0


@dataclass(frozen=True, slots=True)
class AugmentationConfig:
    """Ranges of the random changes; each is multiplied by `strength`."""

    strength: float = 1.0
    """0 turns augmentation off; the images are then resized as serving does it."""
    zoom_log: tuple[float, float] = (-0.25, 0.2)
    """Natural logarithm of the scale of the sampled field: below 0 magnifies."""
    anisotropy_log: float = 0.125
    """Largest logarithm by which the aspect ratio is stretched, each way."""
    rotation_rad: float = 0.2
    shift: float = 0.12
    """Largest shift, in half sides of the image."""
    mirror_probability: float = 0.5
    repeat_border_probability: float = 0.5
    """How often pixels from outside repeat the border instead of being black, per batch."""
    blur_share: float = 0.6
    """Share of images that are blurred; the others are sharpened."""
    blur_sigma_px: float = 1.6
    sharpen: float = 1.2
    """Largest amount of unsharp masking."""
    gamma_log: float = 0.5
    contrast_log: tuple[float, float] = (-0.5, 0.4)
    brightness: float = 0.12
    """Largest shift of the grey level, as a share of white."""
    field: float = 0.08
    """Standard deviation of the smooth field, as a share of white."""
    noise: float = 0.04
    """Largest standard deviation of the noise, as a share of white."""
    erase_boxes: int = 2
    erase_probability: float = 0.5
    erase_corner_share: float = 0.6
    """Share of the boxes that are put into the upper corners."""
    counter_shift: float = 0.0
    """How far half the images are pushed towards the other class's acquisition. Pushed towards
    the normal ones, an image shows a larger field, taller, and is sharpened more often."""
    counter_zoom: float = 0.3
    """Change of the logarithm of the zoom per unit of `counter_shift`."""
    counter_aspect: float = -0.5
    """Change of the logarithm of the stretch per unit of `counter_shift`."""
    counter_blur: float = -2.0
    """Change of `blur_share` per unit of `counter_shift`."""


class AcquisitionAugmentation(RandomizableTransform):
    """A MONAI transform of whole batches: (n, 1, rows, columns) to (n, 1, side, side)."""

    def __init__(self, config: AugmentationConfig, side_px: int) -> None:
        super().__init__(prob=1.0)
        self.config = config
        self.side_px = side_px

    # MONAI types its transforms by one argument; its own ones take several too.
    def __call__(  # type: ignore[override]
        self, images: Tensor, positive: NDArray[np.bool_]
    ) -> Tensor:
        """Return changed copies of `images`, float32 grey levels 0 to 255.

        `positive`, shape (n,), says which show a finding; it steers the counter-shift alone.
        """
        return self.with_fields(images, positive, None)[0]

    def with_fields(
        self, images: Tensor, positive: NDArray[np.bool_], fields: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return changed copies of `images`, and `fields` moved as they are.

        `fields`, shape (n, 1, rows, columns), says from 0 to 1 what belongs to the lungs; it comes
        back on a grid of a quarter of the network's side. What is outside the image is no lung.
        """
        config = self.config
        count = len(images)
        pushed = (self.R.random(count) < 0.5) * np.where(positive, 1.0, -1.0)
        push = torch.from_numpy((pushed * config.counter_shift).astype(np.float32))
        matrix, border = self._geometry(count, push)
        moved = self._moved(images, matrix, self.side_px, border)
        if fields is not None:
            fields = self._moved(fields, matrix, self.side_px // FIELD_PX, "zeros")
        changed = self._sharpness(moved, push)
        changed = self._tone((changed / WHITE).clamp(1e-3, 1.0), count)
        field = self._normal((count, 1, _FIELD_CELLS, _FIELD_CELLS)) * config.field
        smooth = F.interpolate(field, size=changed.shape[2:], mode="bicubic")
        changed = changed + smooth * config.strength
        deviation = self._uniform(0, config.noise * config.strength, count)
        changed = changed + self._normal(tuple(changed.shape)) * _each(deviation)
        return self._erase(changed.clamp(0, 1) * WHITE), fields

    def _geometry(self, count: int, push: Tensor) -> tuple[Tensor, str]:
        """Return where each image is sampled, shape (n, 2, 3), and what lies outside of it."""
        config, strength = self.config, self.config.strength
        zoom_log = self._uniform(*config.zoom_log, count) + config.counter_zoom * push
        limit = config.anisotropy_log
        stretch_log = self._uniform(-limit, limit, count) + config.counter_aspect * push
        zoom, stretch = torch.exp(zoom_log * strength), torch.exp(stretch_log * strength)
        turn = self._uniform(-config.rotation_rad, config.rotation_rad, count) * strength
        mirrored = torch.from_numpy(self.R.random(count) < config.mirror_probability)
        facing = 1.0 - 2.0 * mirrored.float()
        matrix = torch.zeros(count, 2, 3)
        matrix[:, 0, 0] = torch.cos(turn) * zoom * stretch * facing
        matrix[:, 0, 1] = -torch.sin(turn) * zoom * stretch
        matrix[:, 1, 0] = torch.sin(turn) * zoom / stretch * facing
        matrix[:, 1, 1] = torch.cos(turn) * zoom / stretch
        for axis in (0, 1):
            matrix[:, axis, 2] = self._uniform(-config.shift, config.shift, count) * strength
        repeat = self.R.random() < config.repeat_border_probability
        return matrix, "border" if repeat else "zeros"

    @staticmethod
    def _moved(images: Tensor, matrix: Tensor, side: int, border: str) -> Tensor:
        grid = F.affine_grid(matrix, [len(images), 1, side, side], align_corners=False)
        return F.grid_sample(images, grid, padding_mode=border, align_corners=False)

    def _sharpness(self, images: Tensor, push: Tensor) -> Tensor:
        config, count = self.config, len(images)
        blurred = _gaussian_blur(images, self._uniform(0.05, config.blur_sigma_px, count))
        share = config.blur_share + config.counter_blur * push
        blur = self._uniform(0, 1, count) < share
        amount = torch.where(
            blur, self._uniform(0, 1, count), -self._uniform(0, config.sharpen, count)
        )
        return images + _each(amount * config.strength) * (blurred - images)

    def _tone(self, images: Tensor, count: int) -> Tensor:
        config, strength = self.config, self.config.strength
        gamma = torch.exp(self._uniform(-config.gamma_log, config.gamma_log, count) * strength)
        contrast = torch.exp(self._uniform(*config.contrast_log, count) * strength)
        shift = self._uniform(-config.brightness, config.brightness, count) * strength
        toned: Tensor = (images ** _each(gamma) - 0.5) * _each(contrast) + 0.5 + _each(shift)
        return toned

    def _erase(self, images: Tensor) -> Tensor:
        config, side = self.config, self.side_px
        for image in images:
            for _ in range(config.erase_boxes):
                if self.R.random() >= config.erase_probability:
                    continue
                height, width = self.R.randint(side // 16, side // 4, 2)
                if self.R.random() < config.erase_corner_share:
                    top = self.R.randint(0, side // 4)
                    left = self.R.randint(0, side // 6)
                    if self.R.random() < 0.5:
                        left = side - side // 16 - left
                else:
                    top, left = self.R.randint(0, side - side // 16, 2)
                grey = self.R.uniform(0, WHITE)
                image[:, top : top + height, left : left + width] = grey
        return images

    def _uniform(self, low: float, high: float, count: int) -> Tensor:
        return torch.from_numpy(self.R.uniform(low, high, count).astype(np.float32))

    def _normal(self, shape: tuple[int, ...]) -> Tensor:
        # Torch draws millions of normals several times faster; its generator is seeded by ours.
        generator = torch.Generator().manual_seed(int(self.R.randint(2**31)))
        return torch.randn(shape, generator=generator)


def _each(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def _gaussian_blur(images: Tensor, sigma_px: Tensor) -> Tensor:
    """Blur each image of (n, 1, rows, columns) with its own sigma, shape (n,)."""
    radius, count = _BLUR_RADIUS_PX, len(images)
    offset = torch.arange(-radius, radius + 1).float()
    kernel = torch.exp(-(offset[None] ** 2) / (2 * sigma_px[:, None] ** 2))
    kernel = kernel / kernel.sum(1, keepdim=True)
    # Images become channels, so that one grouped convolution gives each its own kernel.
    rows = images.transpose(0, 1)
    rows = F.pad(rows, (radius, radius, 0, 0), mode="reflect")
    rows = F.conv2d(rows, kernel.view(count, 1, 1, -1), groups=count)
    rows = F.pad(rows, (0, 0, radius, radius), mode="reflect")
    return F.conv2d(rows, kernel.view(count, 1, -1, 1), groups=count).transpose(0, 1)
