"""What a JPEG, JPEG lossless or JPEG-LS image says of itself, read without decoding it.

ISO/IEC 10918-1 annex B (markers, frame header) and ISO/IEC 14495-1 annex C (SOF55).
"""

from dataclasses import dataclass

from models.errors import UnreadableImageError
from serving.imaging.limits import ImageLimits

JPEG_LS_FRAME = 0xF7
"""Start of frame marker of JPEG-LS."""
LOSSLESS_FRAME = 0xC3
"""Start of frame marker of sequential lossless Huffman JPEG."""
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), JPEG_LS_FRAME}) - {0xC4, 0xC8, 0xCC}
"""SOF0 to SOF15 and SOF55, without DHT, JPG and DAC that lie among them."""
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_START_OF_SCAN = 0xDA


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """The frame header of one image."""

    process: int
    """Second byte of the start of frame marker, for example 0xC0 for baseline."""
    bits: int
    """Sample precision, 2 to 16."""
    rows: int
    columns: int
    components: int
    has_adobe_marker: bool
    """Whether an APP14 segment tells the colour transform."""


def read_frame_header(data: bytes, limits: ImageLimits) -> JpegFrame:
    """The frame header of the JPEG image in `data`.

    Raises `UnreadableImageError` where there is none, `InputTooLargeError` where the image is
    over a limit.
    """
    position = 2 if data[:2] == b"\xff\xd8" else len(data)
    adobe = False
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF or marker in _STANDALONE:
            position += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        segment = data[position + 4 : position + 2 + length]
        if marker in _FRAME_MARKERS and len(segment) >= 6:
            return _check(_frame(marker, segment, adobe), data, limits)
        if marker == _START_OF_SCAN or length < 2:
            break
        adobe = adobe or (marker == 0xEE and segment.startswith(b"Adobe"))
        position += 2 + length
    raise UnreadableImageError(
        "The JPEG image has no frame header: it is truncated or corrupt. Send it again.",
        "JPEG 图像缺少帧头：文件被截断或已损坏；请重新发送",
    )


def _frame(marker: int, segment: bytes, adobe: bool) -> JpegFrame:
    return JpegFrame(
        process=marker,
        bits=segment[0],
        rows=int.from_bytes(segment[1:3], "big"),
        columns=int.from_bytes(segment[3:5], "big"),
        components=segment[5],
        has_adobe_marker=adobe,
    )


def _check(frame: JpegFrame, data: bytes, limits: ImageLimits) -> JpegFrame:
    if frame.rows == 0 or frame.columns == 0 or frame.components not in (1, 3, 4):
        raise UnreadableImageError(
            f"The JPEG frame header declares {frame.rows} x {frame.columns} pixels of "
            f"{frame.components} components; expected an image of 1, 3 or 4. Send it again.",
            f"JPEG 帧头声明 {frame.rows} × {frame.columns} 像素、{frame.components} 个分量，"
            "应为 1、3 或 4 个分量的图像；请重新发送",
        )
    limits.check_dimensions(frame.rows, frame.columns, "The JPEG frame header")
    # In compressed data 0xFF is always followed by a stuffed byte, so every hit is a scan, but
    # for those of a thumbnail.
    scans = data.count(b"\xff\xda")
    if scans > limits.max_scans:
        raise UnreadableImageError(
            f"The JPEG image has {scans} scans, at most {limits.max_scans} are decoded; images "
            "from a modality have about ten at most.",
            f"JPEG 图像含 {scans} 次扫描，解码上限为 {limits.max_scans} 次；"
            "请从设备或归档系统重新导出",
        )
    return frame
