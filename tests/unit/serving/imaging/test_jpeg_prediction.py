import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from serving.imaging.jpeg_prediction import undo_prediction

SAMPLES = hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))
FIRST = 32_768


def _prediction(samples: np.ndarray, row: int, column: int, selection: int) -> int:
    """Table H.1 of ISO/IEC 10918-1, one sample at a time."""
    if row == 0:
        return FIRST if column == 0 else int(samples[0, column - 1])
    if column == 0:
        return int(samples[row - 1, 0])
    left, above, corner = (
        int(samples[row, column - 1]),
        int(samples[row - 1, column]),
        int(samples[row - 1, column - 1]),
    )
    return {
        1: left,
        2: above,
        3: corner,
        4: left + above - corner,
        5: left + ((above - corner) >> 1),
        6: above + ((left - corner) >> 1),
        7: (left + above) >> 1,
    }[selection]


@pytest.mark.parametrize("selection", range(1, 8))
@given(samples=SAMPLES)
def test_samples_come_back_from_their_differences(selection: int, samples: np.ndarray) -> None:
    differences = np.empty(samples.shape, dtype=np.int32)
    for row, column in np.ndindex(samples.shape):
        difference = int(samples[row, column]) - _prediction(samples, row, column, selection)
        # As coded: modulo 2**16, in the range -32767 to 32768 (H.1.2.1).
        differences[row, column] = (difference + 32_767) % 65_536 - 32_767

    assert (undo_prediction(differences, selection, FIRST) == samples).all()
