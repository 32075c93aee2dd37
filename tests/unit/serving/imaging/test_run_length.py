import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydicom.pixels.encoders.native import _encode_segment

from models.errors import UnreadableImageError
from serving.imaging.run_length import decode


def _frame(planes: np.ndarray) -> bytes:
    """An RLE frame of byte planes, shape (count, rows, columns), packed by pydicom."""
    segments = [bytes(_encode_segment(plane.tobytes(), plane.shape[1])) for plane in planes]
    offsets, position = [0] * 15, 64
    for index, segment in enumerate(segments):
        offsets[index] = position
        position += len(segment)
    return struct.pack("<16L", len(segments), *offsets) + b"".join(segments)


PLANES = hnp.arrays(
    np.uint8,
    st.tuples(st.just(2), st.integers(1, 6), st.integers(1, 300)),
    elements=st.sampled_from([0, 1, 255]),
)


@given(PLANES)
def test_planes_come_back(planes: np.ndarray) -> None:
    _, rows, columns = planes.shape

    decoded = decode(_frame(planes), rows, columns, samples=1, word_bytes=2)

    assert (decoded[0] == planes).all()


def test_no_operation_byte_is_passed_over() -> None:
    frame = struct.pack("<16L", 1, 64, *[0] * 14) + b"\x80\x01\x07\x08\x80\xff\x09"

    assert decode(frame, 2, 2, samples=1, word_bytes=1).tolist() == [[[[7, 8], [9, 9]]]]


@pytest.mark.parametrize(
    ("header", "body", "reason"),
    [
        pytest.param([1], b"", "header is cut off", id="short header"),
        pytest.param([3, 64, 65, 66] + [0] * 12, b"....", "3 segments where 1", id="segments"),
        pytest.param([1, 63] + [0] * 14, b"....", "offsets are out of order", id="offset"),
        pytest.param([1, 64] + [0] * 14, b"\x00\x01", "holds 1 bytes where 4", id="too little"),
    ],
)
def test_broken_frame_is_refused(header: list[int], body: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImageError, match=reason):
        decode(struct.pack(f"<{len(header)}L", *header) + body, 2, 2, samples=1, word_bytes=1)
