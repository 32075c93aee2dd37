"""What the bytes are, judged by how they begin and never by a file name."""

from enum import StrEnum

from models.errors import UnreadableImageError
from models.text import Text


class SourceFormat(StrEnum):
    """The formats that are read."""

    DICOM = "DICOM"
    PNG = "PNG"
    JPEG = "JPEG"


_PREAMBLE_BYTES = 128
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_SIGNATURE = b"\xff\xd8\xff"

_OTHER_FORMATS: tuple[tuple[bytes, Text], ...] = (
    (b"%PDF", Text("a PDF document", "PDF 文档")),
    (b"GIF8", Text("a GIF image", "GIF 图像")),
    (b"BM", Text("a BMP image", "BMP 图像")),
    (b"II*\x00", Text("a TIFF image", "TIFF 图像")),
    (b"MM\x00*", Text("a TIFF image", "TIFF 图像")),
    (b"RIFF", Text("a RIFF file (WebP, AVI or WAV)", "RIFF 文件（WebP、AVI 或 WAV）")),
    (b"PK\x03\x04", Text("a ZIP archive", "ZIP 压缩包")),
    (b"\x1f\x8b", Text("a gzip archive", "gzip 压缩包")),
    (b"\xff\x4f\xff\x51", Text("a bare JPEG 2000 codestream", "裸 JPEG 2000 码流")),
    (b"\x00\x00\x00\x0cjP  ", Text("a JPEG 2000 file", "JPEG 2000 文件")),
    (b"<", Text("an XML or HTML document", "XML 或 HTML 文档")),
    (b"{", Text("a JSON document", "JSON 文档")),
)
"""Beginnings of formats that are often sent by mistake, to name them in the answer."""

_PLAUSIBLE_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
"""Groups 0002 and 0008, in either byte order, with which a data set without preamble begins."""
_MAX_FIRST_VALUE_BYTES = 1024


def _is_bare_dataset(data: bytes) -> bool:
    """Whether bytes without a preamble can be a DICOM data set (PS3.5 7.1)."""
    head = data[:8]
    if len(head) < 8 or head[:2] not in _PLAUSIBLE_FIRST_GROUPS:
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    return explicit or int.from_bytes(head[4:8], "little") <= _MAX_FIRST_VALUE_BYTES


def _describe(data: bytes) -> Text:
    """What else the bytes seem to be; never any of their content."""
    if not data:
        return Text("nothing: the input is empty", "输入为空")
    for signature, name in _OTHER_FORMATS:
        if data.startswith(signature):
            return Text(name.en, f"输入为 {name.zh}")
    size = len(data)
    return Text(f"{size} bytes of no known format", f"输入为未知格式的 {size} 字节数据")


def identify_format(data: bytes) -> SourceFormat:
    """The format of `data`.

    DICOM without the preamble of PS3.10 7.1, as some archives store it, is accepted where the
    first element makes it plausible.

    Raises `UnreadableImageError` for anything else.
    """
    if data[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] == b"DICM":
        return SourceFormat.DICOM
    if data.startswith(_PNG_SIGNATURE):
        return SourceFormat.PNG
    if data.startswith(_JPEG_SIGNATURE):
        return SourceFormat.JPEG
    if _is_bare_dataset(data):
        return SourceFormat.DICOM
    found = _describe(data)
    raise UnreadableImageError(
        f"Found {found.en}; expected a DICOM, PNG or JPEG radiograph. "
        "Send the file as the modality or archive exported it.",
        f"{found.zh}，应为 DICOM、PNG 或 JPEG 格式的 X 线影像；请原样发送设备或归档系统导出的文件",
    )
