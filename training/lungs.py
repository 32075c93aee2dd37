"""Training images whose outside of the lungs tells nothing of the class.

In this data the neck, the arms, the abdomen and the frame go with the class (age, positioning,
collimation): a network may read them and still be right. Two changes of a batch take that away,
both made before the augmentation, with the lungs as `datasets.lung_field` finds them:

transplant  the chest of one child, from lung to lung, is put into the radiograph of another, mostly
            of the other class; what is true is what is true of the lungs
cover       the chest is covered by a flat, a rough or a smoothly continued grey; what is left is
            given a target half way between the classes, for there is nothing to be seen
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the name that PyTorch's own pages use

_FEATHER_PX = 7
_RING_CELLS = 3
_FILLS = ("flat", "rough", "continued")


@dataclass(frozen=True, slots=True)
class LungConfig:
    """How a network is kept to the lungs; all of it is off by default."""

    field: bool = False
    """Whether the network has a field (`training.networks.Field`) that is taught the lungs."""
    field_weight: float = 0.5
    """Weight of the field's own loss beside the loss of the finding."""
    transplant_share: float = 0.0
    """Share of each batch whose chest is put into another child's radiograph."""
    other_class_share: float = 0.75
    """How often the other child is of the other class."""
    cover_share: float = 0.0
    """Share of each batch whose chest is covered."""


@dataclass(frozen=True, slots=True)
class Chests:
    """Radiographs with where their lungs are."""

    images: Tensor
    """Grey levels 0 to 255, shape (n, 1, rows, columns)."""
    lungs: Tensor
    """0 or 1, shape (n, 1, cells, cells)."""

    def take(self, chosen: NDArray[np.intp]) -> "Chests":
        """Return those at `chosen`."""
        positions = torch.from_numpy(chosen)
        return Chests(self.images[positions], self.lungs[positions])


def chest_of(lungs: Tensor, margin_cells: int = 1) -> Tensor:
    """Return both lungs with what lies between them, `margin_cells` larger, shape as `lungs`."""
    from_left = lungs.cummax(3).values
    from_right = lungs.flip(3).cummax(3).values.flip(3)
    return _larger(from_left * from_right, margin_cells)


def transplanted(guests: Chests, hosts: Chests, *, blended: bool = True) -> Chests:
    """Return the radiographs of `hosts` with the chests of `guests`, fitted to where theirs were.

    The guest's chest is stretched over the host's, so that its size, place and aspect ratio are the
    host's too. `blended` fits the grey levels around it and softens the seam.
    """
    matrix = _from_box_to_box(_boxes(hosts.lungs), _boxes(guests.lungs))
    images = _sampled(guests.images, matrix, hosts.images.shape[3], "border")
    lungs = (_sampled(guests.lungs, matrix, hosts.lungs.shape[3], "zeros") > 0.5).float()
    # What either child's chest covers is the guest's: nothing of the host's lungs is left.
    cells = torch.maximum(chest_of(lungs), chest_of(hosts.lungs))
    if blended:
        images = _fitted(images, hosts.images, cells)
    share = _on_pixels(cells, hosts.images.shape[3], soft=blended)
    mixed = images * share + hosts.images * (1 - share)
    return Chests(mixed.clamp(0, 255), lungs)


def covered(chests: Chests, rng: np.random.Generator) -> Tensor:
    """Return `chests` with the chest of each covered in a way of its own."""
    count, side = len(chests.images), chests.images.shape[3]
    shapes = []
    for lungs in chests.lungs:
        cells = chest_of(lungs[None], int(rng.integers(1, 4)))
        if rng.random() < 0.4:
            cells = _box_around(cells)
        shapes.append(cells)
    soft = rng.random() < 0.5
    share = _on_pixels(torch.cat(shapes), side, soft=soft)
    fills = [_FILLS[int(at)] for at in rng.integers(0, len(_FILLS), count)]
    filled = torch.stack(
        [
            _fill(image, hidden, kind, rng)
            for image, hidden, kind in zip(chests.images, share, fills, strict=True)
        ]
    )
    return filled * share + chests.images * (1 - share)


def _fill(image: Tensor, hidden: Tensor, kind: str, rng: np.random.Generator) -> Tensor:
    """Return what hides the chest of one image, shape (1, rows, columns)."""
    if kind == "continued":
        return _continued(image[None], hidden[None])[0]
    level = float(rng.uniform(20, 235))
    if kind == "flat":
        return torch.full_like(image, level)
    cells = int(rng.choice([4, 8, 28, 112]))
    rough = torch.from_numpy(rng.normal(level, rng.uniform(5, 50), (1, 1, cells, cells)))
    return F.interpolate(rough.float(), size=image.shape[1:], mode="bilinear").clamp(0, 255)[0]


def _continued(image: Tensor, hidden: Tensor) -> Tensor:
    """Return the surroundings' grey levels, carried on smoothly into what is hidden."""
    seen = (1 - hidden).clamp(0, 1)
    weight, grey = seen, image * seen
    total_grey, total_weight = grey, weight
    # Wider and wider means: what is near counts first, what is far where nothing is near.
    for halved in range(1, 6):
        grey, weight = F.avg_pool2d(grey, 2), F.avg_pool2d(weight, 2)
        size = image.shape[2:]
        share = 0.02**halved
        total_grey = total_grey + share * F.interpolate(grey, size=size, mode="bilinear")
        total_weight = total_weight + share * F.interpolate(weight, size=size, mode="bilinear")
    return total_grey / total_weight.clamp(min=1e-12)


def _fitted(guest: Tensor, host: Tensor, cells: Tensor) -> Tensor:
    """Return `guest` with the grey levels around its chest as they are around the host's."""
    ring = _larger(cells, _RING_CELLS) - cells
    around = _on_pixels(ring, guest.shape[3], soft=False)
    total = around.sum((2, 3), keepdim=True).clamp(min=1)
    means = [(each * around).sum((2, 3), keepdim=True) / total for each in (guest, host)]
    deviations = [
        (((each - mean) ** 2 * around).sum((2, 3), keepdim=True) / total).sqrt()
        for each, mean in zip((guest, host), means, strict=True)
    ]
    guest_contrast, host_contrast = (each.clamp(min=1) for each in deviations)
    gain = (host_contrast / guest_contrast).clamp(0.6, 1.6)
    return (guest - means[0]) * gain + means[1]


def _larger(cells: Tensor, by: int) -> Tensor:
    return F.max_pool2d(cells, 2 * by + 1, stride=1, padding=by) if by else cells


def _on_pixels(cells: Tensor, side: int, *, soft: bool) -> Tensor:
    """Return `cells` on a grid of `side` pixels, with a soft or a hard edge."""
    fine = F.interpolate(cells, size=(side, side), mode="bilinear", align_corners=False)
    if not soft:
        return (fine > 0.5).float()
    # The edge goes outwards alone: within the cells everything is hidden.
    pad = _FEATHER_PX // 2
    wide = F.max_pool2d((fine > 0.5).float(), _FEATHER_PX, stride=1, padding=pad)
    return F.avg_pool2d(wide, _FEATHER_PX, stride=1, padding=pad, count_include_pad=False)


def _boxes(lungs: Tensor) -> Tensor:
    """Return the middle and half the size of each chest, shape (n, 2 axes, 2), from -1 to 1."""
    cells = lungs.shape[3]
    found = []
    for mask in lungs[:, 0] > 0.5:
        ends = []
        for axis in (1, 0):  # columns of x first, as affine grids have it
            inside = torch.nonzero(mask.any(1 - axis)).flatten()
            first, last = (0, cells - 1) if not len(inside) else (int(inside[0]), int(inside[-1]))
            low, high = 2 * first / cells - 1, 2 * (last + 1) / cells - 1
            ends.append([(low + high) / 2, (high - low) / 2])
        found.append(ends)
    return torch.tensor(found)


def _from_box_to_box(to: Tensor, source: Tensor) -> Tensor:
    """Return the affine grid's matrix that shows the box `source` in the box `to`."""
    matrix = torch.zeros(len(to), 2, 3)
    scale = source[:, :, 1] / to[:, :, 1].clamp(min=1e-3)
    for axis in (0, 1):
        matrix[:, axis, axis] = scale[:, axis]
        matrix[:, axis, 2] = source[:, axis, 0] - scale[:, axis] * to[:, axis, 0]
    return matrix


def _sampled(images: Tensor, matrix: Tensor, side: int, border: str) -> Tensor:
    grid = F.affine_grid(matrix, [len(images), 1, side, side], align_corners=False)
    return F.grid_sample(images, grid, padding_mode=border, align_corners=False)


def _box_around(cells: Tensor) -> Tensor:
    box = torch.zeros_like(cells)
    rows = torch.nonzero(cells[0, 0].any(1)).flatten()
    columns = torch.nonzero(cells[0, 0].any(0)).flatten()
    if len(rows):
        box[:, :, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = 1
    return box
