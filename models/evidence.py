"""From an activation map to the regions of the stored image that speak for a finding.

The network ends in global pooling and a linear layer, so its activation map says exactly what each
place adds to the logit (class activation mapping: Zhou et al., CVPR 2016, arXiv:1512.04150).
"""

import math
import statistics
from typing import NamedTuple

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
    usual, strongest = statistics.median(positive.ravel().tolist()), float(positive.max())
    if not math.isfinite(strongest) or strongest <= usual:
        return np.zeros((_GRID_SIDE, _GRID_SIDE), np.float32)
    above = np.maximum(positive - usual, 0.0) / (strongest - usual)
    relative = Image.fromarray(above.astype(np.float32))
    fine = relative.resize((_GRID_SIDE, _GRID_SIDE), Image.Resampling.BILINEAR)
    heat: Heat = np.clip(np.asarray(fine), 0.0, 1.0)
    return heat


def regions_of(heat: Heat, *, rows: int, columns: int) -> tuple[Region, ...]:
    """Return the regions of a stored image of `rows` x `columns` pixels, strongest first."""
    runs = _runs(heat)
    parts = [part for part in _connected(runs) if sum(map(_length, part)) >= _SMALLEST_CELLS]
    regions = [_region(part, heat.shape, rows, columns) for part in parts]
    return tuple(sorted(regions, key=lambda region: -region.score)[:_MOST_REGIONS])


class _Run(NamedTuple):
    """Cells of one row, side by side, that are hot enough to belong to a region."""

    row: int
    first: int
    end: int
    """Of the cells: the first after them."""
    heat: float
    """Sum over the cells."""


def _length(run: _Run) -> int:
    return run.end - run.first


def _runs(heat: Heat) -> list[_Run]:
    """Return the runs of the grid's cells that belong to regions, along the rows from the top."""
    rows, columns = heat.shape
    # A cell that belongs to nothing on either side: in each row as many runs end as begin.
    belongs = np.zeros((rows, columns + 2), np.bool_)
    np.greater_equal(heat, REGION_LEVEL, out=belongs[:, 1:-1])
    edges = np.flatnonzero(belongs[:, 1:] != belongs[:, :-1])
    row, first = np.divmod(edges[::2], columns + 1)
    end = edges[1::2] - row * (columns + 1)
    until = np.concatenate(([0.0], np.cumsum(heat, dtype=np.float64)))
    sums = until[row * columns + end] - until[row * columns + first]
    found = zip(row.tolist(), first.tolist(), end.tolist(), sums.tolist(), strict=True)
    return [_Run(*run) for run in found]


def _connected(runs: list[_Run]) -> list[list[_Run]]:
    """Return the runs of each part whose cells touch along an edge."""
    part_of = list(range(len(runs)))
    """The number of a run of the same part, in the end of the same one for all."""

    def leader(run: int) -> int:
        while part_of[run] != run:
            run = part_of[run]
        return run

    at = 0
    for number, (row, first, end, _) in enumerate(runs):
        while (runs[at].row, runs[at].end) <= (row - 1, first):
            at += 1
        other = at
        while other < number and runs[other].row < row and runs[other].first < end:
            part_of[leader(other)] = leader(number)
            other += 1
    parts: dict[int, list[_Run]] = {}
    for number, run in enumerate(runs):
        parts.setdefault(leader(number), []).append(run)
    return list(parts.values())


def _region(part: list[_Run], grid: tuple[int, ...], rows: int, columns: int) -> Region:
    top, bottom = part[0].row, part[-1].row + 1
    left, right = min(run.first for run in part), max(run.end for run in part)
    row_px, column_px = top * rows // grid[0], left * columns // grid[1]
    return Region(
        column=column_px,
        row=row_px,
        # An image may have fewer pixels than the grid has cells.
        width=max(1, right * columns // grid[1] - column_px),
        height=max(1, bottom * rows // grid[0] - row_px),
        score=sum(run.heat for run in part) / sum(map(_length, part)),
    )
