"""Where the lungs lie in a frontal chest radiograph, for training and for measuring.

`chest_xray_kermany` has no drawn masks, and no threshold finds a lung that is consolidated. So:

1. in radiographs without a finding, whose lungs are dark and whole, each lung is found by its grey
   level and kept where it has the size, place and shape of a lung,
2. their convex hulls, which put back what the heart and the domes of the diaphragm hide, make a
   shape model (principal components: Cootes et al., Comput Vis Image Underst 1995;61:38),
3. a ridge regression tells the shape's parameters from the directions of edges (HOG: Dalal and
   Triggs, CVPR 2005) of the whole image: ribs, spine, shoulders and diaphragm, which are there
   whatever fills the lungs. It is fitted with opacities painted into the lungs and other framing.

Nothing of it knows a child's diagnosis, and what it finds has always the shape of two lungs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.feature import hog
from skimage.measure import label, regionprops
from skimage.morphology import convex_hull_image
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

from models.errors import DataError

SIDE_PX = 224
"""Side of the images that lungs are looked for in."""
MASK_SIDE = 56
"""Side of the masks."""
LAYOUT = "1"
"""Changes when other masks would be found in the same images."""
_DARKER = (0.97, 0.94, 1.0)
"""Tried in turn: how dark a lung is against its surroundings."""
_HOG_CELL_PX = 16
_COMPONENTS = 16
_RIDGE = 30.0
_COPIES = 5
"""Reframed copies of each radiograph that the regression is fitted to, beside the plain one."""
_FEWEST = 20
"""Radiographs whose lungs were found by grey level, below which no shape model is made."""

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def lungs_by_grey_level(image: Grey) -> Mask | None:
    """Return both lungs of a radiograph without opacities, or nothing where that is not sure.

    `image` and the mask have the shape (SIDE_PX, SIDE_PX); each lung is its convex hull.
    """
    grey = image.astype(np.float32)
    smooth = ndimage.gaussian_filter(grey, 2.0)
    # Lungs are darker than what is around them, whatever the exposure.
    around = ndimage.gaussian_filter(smooth, 28.0)
    found = [_pair(smooth < around * factor) for factor in _DARKER]
    return next((pair for pair in found if pair is not None), None)


def _pair(dark: Mask) -> Mask | None:
    """Return the hulls of the two parts of `dark` that could be the lungs of one child."""
    parts = label(ndimage.binary_opening(dark, iterations=2), connectivity=1)
    sides: list[tuple[float, Mask] | None] = [None, None]
    for part in regionprops(parts):
        top, left, bottom, right = part.bbox
        if top == 0 or left == 0 or bottom == SIDE_PX or right == SIDE_PX:
            continue
        row, column = part.centroid
        share = part.area_convex / SIDE_PX**2
        # A lung is higher than wide, lies in its own half, and ribs do not divide it.
        shaped = bottom - top > 0.3 * SIDE_PX and right - left < 0.42 * SIDE_PX
        if not (shaped and 0.05 < share < 0.2 and 0.25 < row / SIDE_PX < 0.68):
            continue
        if part.solidity < 0.55:
            continue
        side = int(column > SIDE_PX / 2)
        kept = sides[side]
        if kept is None or part.area > kept[0]:
            sides[side] = (float(part.area), convex_hull_image(parts == part.label))
    first, second = sides
    if first is None or second is None:
        return None
    return _checked(first[1], second[1])


def _checked(one: Mask, other: Mask) -> Mask | None:
    """Return both where they could be the lungs of one child."""
    areas = float(one.sum()), float(other.sum())
    if min(areas) < 0.55 * max(areas) or (one & other).any():
        return None
    tops, bottoms = zip(
        *((rows.min(), rows.max()) for rows in map(_rows, (one, other))), strict=True
    )
    level = (
        abs(tops[0] - tops[1]) < 0.10 * SIDE_PX and abs(bottoms[0] - bottoms[1]) < 0.13 * SIDE_PX
    )
    return one | other if level else None


def _rows(mask: Mask) -> NDArray[np.intp]:
    return np.flatnonzero(mask.any(axis=1))


@dataclass(frozen=True, slots=True)
class LungFinder:
    """Finds the lungs of any frontal chest radiograph as a shape out of those it was fitted to."""

    shapes: PCA
    edges: Ridge

    @classmethod
    def fit(cls, pixels: Grey, seed: int) -> "LungFinder":
        """Fit to radiographs without a finding, shape (n, rows, columns).

        Raises:
            DataError: the lungs of too few of them are found.
        """
        images = [square(image) for image in pixels]
        found = [(image, lungs_by_grey_level(image)) for image in images]
        whole = [(image, lungs) for image, lungs in found if lungs is not None]
        if len(whole) < _FEWEST:
            raise DataError(
                f"The lungs of {len(whole)} radiographs without a finding were found by their grey "
                f"level; at least {_FEWEST} are needed to know what lungs look like."
            )
        rng = np.random.default_rng(seed)
        masks, edges = [], []
        for image, lungs in whole:
            for copy, mask in _copies(image, lungs, rng):
                masks.append(_small(mask).ravel())
                edges.append(_edges(copy))
        shapes = PCA(_COMPONENTS, svd_solver="randomized", random_state=seed).fit(np.stack(masks))
        told = Ridge(_RIDGE).fit(np.stack(edges), shapes.transform(np.stack(masks)))
        return cls(shapes, told)

    def __call__(self, pixels: Grey) -> NDArray[np.uint8]:
        """Return the masks, shape (n, MASK_SIDE, MASK_SIDE), 0 or 1, of (n, rows, columns)."""
        edges = np.stack([_edges(square(image)) for image in pixels])
        shapes = self.shapes.inverse_transform(self.edges.predict(edges))
        within = shapes.reshape(-1, MASK_SIDE, MASK_SIDE) > 0.5
        return np.asarray(within, dtype=np.uint8)


def square(image: Grey) -> Grey:
    """Return `image` with `SIDE_PX` on each side; the aspect ratio is not kept."""
    if image.shape == (SIDE_PX, SIDE_PX):
        return image
    return np.asarray(Image.fromarray(image).resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR))


def _copies(image: Grey, lungs: Mask, rng: np.random.Generator) -> Iterator[tuple[Grey, Mask]]:
    """Yield the radiograph itself and reframed ones with opacities in the lungs."""
    yield image, lungs
    for _ in range(_COPIES):
        painted = _painted(image, lungs, rng) if rng.random() < 0.7 else image
        scale = np.exp(rng.uniform(-0.25, 0.15) + np.array([1, -1]) * rng.uniform(-0.12, 0.12))
        turn = rng.uniform(-0.1, 0.1)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        matrix = rotation * scale[:, None]
        middle = np.full(2, (SIDE_PX - 1) / 2)
        offset = middle - matrix @ middle + rng.uniform(-0.08, 0.08, 2) * SIDE_PX
        facing = slice(None, None, -1 if rng.random() < 0.5 else 1)
        moved = ndimage.affine_transform(
            painted, matrix, offset, order=1, mode="nearest" if rng.random() < 0.7 else "constant"
        )
        shape = ndimage.affine_transform(lungs.astype(np.float32), matrix, offset, order=1) > 0.5
        yield moved[:, facing], shape[:, facing]


def _painted(image: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    """Return the radiograph with smooth opacities, as bright as the heart, in its lungs."""
    rough = rng.normal(size=(SIDE_PX, SIDE_PX)).astype(np.float32)
    cloud = ndimage.gaussian_filter(rough, rng.uniform(6, 25))
    threshold = np.quantile(cloud[lungs], rng.uniform(0.2, 0.8))
    dense = ndimage.gaussian_filter(((cloud > threshold) & lungs).astype(np.float32), 4)
    bright = float(np.quantile(image[~lungs], 0.7))
    share = dense * rng.uniform(0.4, 1.0)
    return np.asarray(image * (1 - share) + bright * share, dtype=np.uint8)


def _edges(image: Grey) -> NDArray[np.float32]:
    cells = (_HOG_CELL_PX, _HOG_CELL_PX)
    told = hog(image, orientations=8, pixels_per_cell=cells, cells_per_block=(2, 2))
    return np.asarray(told, dtype=np.float32)


def _small(mask: Mask) -> NDArray[np.float32]:
    factor = SIDE_PX // MASK_SIDE
    grouped = mask.reshape(MASK_SIDE, factor, MASK_SIDE, factor).mean(axis=(1, 3))
    return np.asarray(grouped, dtype=np.float32)
