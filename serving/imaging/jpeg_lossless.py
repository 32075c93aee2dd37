"""JPEG Lossless (process 14): Huffman coded differences to a prediction.

ISO/IEC 10918-1 annex H. Written here because the decoders of others are either under the GPL or
native code that broken files can crash.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.imaging.huffman import HuffmanTable, broken, build_table, read_differences
from serving.imaging.jpeg_markers import LOSSLESS_FRAME
from serving.imaging.jpeg_prediction import undo_prediction

_DEFINE_HUFFMAN, _START_OF_SCAN, _RESTART_INTERVAL = 0xC4, 0xDA, 0xDD
_RESTART_MARKER = re.compile(rb"\xff+[\xd0-\xd7]")
_ANY_OTHER_MARKER = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")


@dataclass(frozen=True, slots=True)
class _Scan:
    """All that is needed to decode the one scan of an image."""

    bits: int
    rows: int
    columns: int
    tables: list[HuffmanTable]
    """One for each component, in the order they are interleaved."""
    selection: int
    """Predictor, 1 to 7."""
    point_transform: int
    """Bits by which samples were divided before coding."""
    interval_rows: int
    """Rows between restarts, all rows where there are none."""
    data: bytes


def decode(image: bytes) -> NDArray[np.uint16]:
    """The samples of a JPEG Lossless image, shape (rows, columns, components).

    Raises `UnreadableImageError` where the image is broken or of another process. The caller
    has checked the dimensions (`jpeg_markers.read_frame_header`).
    """
    scan = _read_scan(image)
    strips = []
    segments = _RESTART_MARKER.split(scan.data)
    for index, first_row in enumerate(range(0, scan.rows, scan.interval_rows)):
        if index >= len(segments):
            raise broken("its data end before its pixels")
        rows = min(scan.interval_rows, scan.rows - first_row)
        strips.append(_decode_strip(scan, segments[index], rows))
    samples: NDArray[np.uint16] = np.concatenate(strips)
    samples <<= np.uint16(scan.point_transform)
    return samples


def _decode_strip(scan: _Scan, segment: bytes, rows: int) -> NDArray[np.uint16]:
    """Rows between two restarts: prediction begins anew in each (H.1.1)."""
    components = len(scan.tables)
    plain = segment.replace(b"\xff\x00", b"\xff")
    count = rows * scan.columns * components
    differences = read_differences(plain, scan.tables, count)
    differences = differences.reshape(rows, scan.columns, components)
    first = 1 << (scan.bits - scan.point_transform - 1)
    return np.stack(
        [
            undo_prediction(differences[..., component], scan.selection, first)
            for component in range(components)
        ],
        axis=-1,
    )


def _read_scan(image: bytes) -> _Scan:
    tables: dict[int, HuffmanTable] = {}
    frame = b""
    interval = 0
    position = 2
    while position + 4 <= len(image) and image[position] == 0xFF:
        marker = image[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        length = int.from_bytes(image[position + 2 : position + 4], "big")
        segment = image[position + 4 : position + 2 + length]
        position += 2 + max(length, 2)
        if marker == LOSSLESS_FRAME:
            frame = segment
        elif marker == _DEFINE_HUFFMAN:
            tables |= _read_tables(segment)
        elif marker == _RESTART_INTERVAL:
            interval = int.from_bytes(segment[:2], "big")
        elif marker == _START_OF_SCAN:
            return _assemble(frame, segment, tables, interval, image[position:])
    raise broken("it has no scan")


def _read_tables(segment: bytes) -> dict[int, HuffmanTable]:
    """The tables of a DHT segment by their number."""
    tables = {}
    while len(segment) >= 17:
        count = sum(segment[1:17])
        tables[segment[0]] = build_table(segment[1:17], segment[17 : 17 + count])
        segment = segment[17 + count :]
    return tables


def _assemble(
    frame: bytes, scan: bytes, tables: dict[int, HuffmanTable], interval: int, rest: bytes
) -> _Scan:
    if len(frame) < 6 or len(frame) < 6 + 3 * frame[5]:
        raise broken("it has no frame header of the lossless process")
    components = frame[5]
    if any(frame[7 + 3 * index] != 0x11 for index in range(components)):
        raise broken("its components have different resolutions, which is not read")
    if len(scan) < 4 + 2 * components or scan[0] != components:
        raise broken("its components are in separate scans, which is not read")
    numbers = [scan[2 + 2 * index] >> 4 for index in range(components)]
    if any(number not in tables for number in numbers):
        raise broken("a Huffman table is missing")
    selection, transform = scan[1 + 2 * components], scan[3 + 2 * components] & 0x0F
    bits, rows, columns = frame[0], int.from_bytes(frame[1:3], "big"), frame[3] << 8 | frame[4]
    if not 1 <= selection <= 7 or not 2 <= bits <= 16 or transform >= bits:
        raise broken("its predictor or precision is out of range")
    if interval % columns:
        raise broken("its restart interval is not a whole number of rows")
    end = _ANY_OTHER_MARKER.search(rest)
    return _Scan(
        bits=bits,
        rows=rows,
        columns=columns,
        tables=[tables[number] for number in numbers],
        selection=selection,
        point_transform=transform,
        interval_rows=interval // columns or rows,
        data=rest[: end.start()] if end else rest,
    )
