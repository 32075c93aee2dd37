"""From an activation map to the regions of the stored image that speak for a finding.

The network ends in global pooling and a linear layer, so its activation map says exactly what each
place adds to the logit (class activation mapping: Zhou et al., CVPR 2016, arXiv:1512.04150).
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.findings import Region

_GRID_SIDE = 40
"""Cells along each side of the grid on which regions are drawn: fine enough for a box that does not
jump by a whole cell of the map, coarse enough to be searched in well under a millisecond."""
REGION_LEVEL = 0.5
"""Share of the way from the usual to the strongest place from which one belongs to a region."""
_SMALLEST_CELLS = 8
"""Regions below this many cells (half a percent of the image) are not told."""
_MOST_REGIONS = 4

Heat = NDArray[np.float32]
"""Shape (_GRID_SIDE, _GRID_SIDE) over the whole image: 0 the usual place or less, 1 the most."""


def heat_of(activation_map: NDArray[np.float32]) -> Heat:
    """Return what in `activation_map`, shape (rows, columns), speaks for the finding.

    Counted from what half the image exceeds: in diffuse disease nearly every place speaks for it,
    and a reader wants to know where most. Where nothing does, the result is 0 everywhere.
    """
    positive = np.maximum(activation_map, 0.0)
    usual, strongest = float(np.median(positive)), float(positive.max())
    if not np.isfinite(strongest) or strongest <= usual:
        return np.zeros((_GRID_SIDE, _GRID_SIDE), np.float32)
    above = np.maximum(positive - usual, 0.0) / (strongest - usual)
    relative = Image.fromarray(above.astype(np.float32))
    fine = relative.resize((_GRID_SIDE, _GRID_SIDE), Image.Resampling.BILINEAR)
    heat: Heat = np.clip(np.asarray(fine), 0.0, 1.0)
    return heat


def regions_of(heat: Heat, *, rows: int, columns: int) -> tuple[Region, ...]:
    """Return the regions of a stored image of `rows` x `columns` pixels, strongest first."""
    regions = [
        _region(cells, heat, rows, columns)
        for cells in _connected(heat >= REGION_LEVEL)
        if len(cells) >= _SMALLEST_CELLS
    ]
    return tuple(sorted(regions, key=lambda region: -region.score)[:_MOST_REGIONS])


Cells = list[int]
"""Cells of the grid by their number, counted along the rows."""


def _connected(mask: NDArray[np.bool_]) -> list[Cells]:
    """Return the cells of each part of `mask` whose cells touch along an edge."""
    # A frame of cells that belong to nothing keeps the ends of two rows from being neighbours.
    framed = np.pad(mask, ((0, 0), (0, 1)))
    width = framed.shape[1]
    waiting = set(np.flatnonzero(framed).tolist())
    parts = []
    while waiting:
        part = [waiting.pop()]
        for cell in part:
            for neighbour in (cell - width, cell + width, cell - 1, cell + 1):
                if neighbour in waiting:
                    waiting.remove(neighbour)
                    part.append(neighbour)
        parts.append([cell - cell // width for cell in part])
    return parts


def _region(cells: Cells, heat: Heat, rows: int, columns: int) -> Region:
    grid_rows, grid_columns = heat.shape
    cell_rows, cell_columns = np.divmod(np.array(cells), grid_columns)
    top, bottom = int(cell_rows.min()), int(cell_rows.max()) + 1
    left, right = int(cell_columns.min()), int(cell_columns.max()) + 1
    row_px, column_px = top * rows // grid_rows, left * columns // grid_columns
    return Region(
        column=column_px,
        row=row_px,
        # An image may have fewer pixels than the grid has cells.
        width=max(1, right * columns // grid_columns - column_px),
        height=max(1, bottom * rows // grid_rows - row_px),
        score=float(heat.ravel()[cells].mean()),
    )
