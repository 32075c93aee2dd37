"""Small inputs that would cost much: each is refused before the memory or the time is spent."""

import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from models.errors import InputError
from serving.imaging import read_radiograph
from tests.dicom_samples import PYDICOM_FILES, encode, radiograph_dataset, radiograph_file, ramp

MAX_SECONDS = 5.0
MAX_MEMORY_BYTES = 400 * 2**20


def _png(rows: int, columns: int) -> bytes:
    """A PNG image of one colour: 1 bit a pixel, compressed a thousand times."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))
        )

    header = struct.pack(">LLBBBBB", columns, rows, 1, 0, 0, 0, 0)
    body = zlib.compress(bytes((1 + (columns + 7) // 8) * min(rows, 6000)))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def _jpeg(rows: int, columns: int, scans: int = 1) -> bytes:
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, rows, columns, 1) + b"\x01\x11\x00"
    table = b"\xff\xc4" + struct.pack(">HB", 20, 0) + bytes([1] + [0] * 15) + b"\0"
    scan = b"\xff\xda" + struct.pack(">H", 8) + b"\x01\x01\x00\x00\x00\x00"
    return b"\xff\xd8" + frame + table + scan * scans + b"\xff\xd9"


def _jpeg2000(rows: int, columns: int, tile: int) -> bytes:
    size = struct.pack(">HHLLLLLLLLH", 41, 0, columns, rows, 0, 0, tile, tile, 0, 0, 1)
    return b"\xff\x4f\xff\x51" + size + b"\x07\x01\x01" + b"\xff\x52" + bytes(80)


def _claiming(rows: int, columns: int, syntax: str, frame: bytes) -> bytes:
    dataset = radiograph_dataset(np.zeros((2, 2), np.uint8), Rows=rows, Columns=columns)
    return encode(dataset, syntax, [frame])


def _deflated_zeros() -> bytes:
    data = encode(radiograph_dataset(ramp()), DeflatedExplicitVRLittleEndian)
    plain = radiograph_file(ramp())
    meta_bytes = 132 + 12 + int.from_bytes(data[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(plain[meta_bytes:])
    for _ in range(400):
        packed += packer.compress(bytes(1 << 20))
    return data[:meta_bytes] + packed + packer.flush()


def _nested_sequences(depth: int) -> bytes:
    item = struct.pack("<HHHHL", 8, 0x1140, 0x5153, 0, 0xFFFFFFFF)
    opening = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    return radiograph_file(ramp())[:-8300] + (item + opening) * depth


BOMBS: dict[str, Callable[[], bytes]] = {
    "png of 2.5 gigapixels": lambda: _png(50_000, 50_000),
    "png cut off in the middle": lambda: _png(6_000, 6_000)[:2000],
    "jpeg of 4 gigapixels": lambda: _jpeg(65_500, 65_500),
    "jpeg of 50,000 scans": lambda: _jpeg(6_000, 6_000, scans=50_000),
    "native rows and columns": lambda: radiograph_file(ramp(), Rows=65_535, Columns=65_535),
    "rle of one byte": lambda: _claiming(
        65_535, 600, RLELossless, struct.pack("<16L", 1, 64, *[0] * 14)
    ),
    "jpeg larger than its header": lambda: _claiming(
        64, 64, JPEGBaseline8Bit, _jpeg(65_500, 65_500)
    ),
    "jpeg 2000 of 4 gigapixels": lambda: _claiming(
        64, 64, JPEG2000Lossless, _jpeg2000(65_535, 65_535, 65_535)
    ),
    "jpeg 2000 of a million tiles": lambda: _claiming(
        1000, 1000, JPEG2000Lossless, _jpeg2000(1000, 1000, 1)
    ),
    "jpeg lossless without data": lambda: _claiming(
        6_000, 6_000, JPEGLosslessSV1, _jpeg(6_000, 6_000).replace(b"\xff\xc2", b"\xff\xc3")
    ),
    "deflated zeros": _deflated_zeros,
    "sequences in sequences": lambda: _nested_sequences(200_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_is_refused_at_little_cost(name: str) -> None:
    data = BOMBS[name]()
    assert len(data) < 8 * 2**20
    tracemalloc.start()
    start = time.perf_counter()

    with pytest.raises(InputError):
        read_radiograph(data)

    seconds = time.perf_counter() - start
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < MAX_SECONDS
    assert peak_bytes < MAX_MEMORY_BYTES


def test_cut_jpeg_ls_does_not_keep_the_decoder_busy() -> None:
    # At a bare end of data the decoder would look for a bit that never comes, for seconds.
    data = (PYDICOM_FILES / "MR_small_jpeg_ls_lossless.dcm").read_bytes()
    start = data.index(b"\xff\xd8\xff\xf7")
    dataset = radiograph_dataset(
        np.zeros((64, 64), np.int16), BitsStored=16, PhotometricInterpretation="MONOCHROME2"
    )
    begin = time.perf_counter()

    for cut in range(start + 200, len(data) - 400, 97):
        with pytest.raises(InputError):
            read_radiograph(encode(dataset, JPEGLSLossless, [data[start:cut]]))

    assert time.perf_counter() - begin < MAX_SECONDS
