"""RLE Lossless (PS3.5 annex G): byte planes of a frame, each packed by runs of bytes."""

import struct
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.errors import UnreadableImageError

_HEADER_BYTES = 64
_NO_OPERATION = 128


def decode(
    frame: bytes, rows: int, columns: int, samples: int, word_bytes: int
) -> NDArray[np.uint8]:
    """The byte planes of one frame: shape (samples, word_bytes, rows, columns), high byte first.

    Raises `UnreadableImageError` where the frame is broken or does not fill the image.
    """
    expected = samples * word_bytes
    if len(frame) < _HEADER_BYTES:
        raise _broken("its header is cut off")
    count, *offsets = struct.unpack("<16L", frame[:_HEADER_BYTES])
    if count != expected:
        raise _broken(f"it has {count} segments where {expected} were expected")
    bounds = [*offsets[:count], len(frame)]
    planes = np.empty((count, rows * columns), dtype=np.uint8)
    for index, (start, end) in enumerate(pairwise(bounds)):
        if not _HEADER_BYTES <= start <= end <= len(frame):
            raise _broken("its segment offsets are out of order")
        planes[index] = _unpack(frame[start:end], rows * columns)
    return planes.reshape(samples, word_bytes, rows, columns)


def _unpack(packed: bytes, size: int) -> NDArray[np.uint8]:
    """The first `size` bytes that the PackBits stream `packed` stands for (G.3.2)."""
    plain = bytearray()
    position, end = 0, len(packed)
    while position < end and len(plain) < size:
        control = packed[position]
        if control < _NO_OPERATION:
            plain += packed[position + 1 : position + 2 + control]
            position += 2 + control
        elif control > _NO_OPERATION:
            plain += packed[position + 1 : position + 2] * (257 - control)
            position += 2
        else:
            position += 1
    if len(plain) < size:
        raise _broken(f"a segment holds {len(plain)} bytes where {size} were expected")
    return np.frombuffer(plain, dtype=np.uint8, count=size)


def _broken(reason: str) -> UnreadableImageError:
    return UnreadableImageError(
        f"The RLE Lossless frame cannot be decoded: {reason}. Send the image again from the "
        "modality or archive.",
        "RLE 压缩的像素数据无法解码：数据被截断或已损坏；请从设备或归档系统重新发送",
    )
