"""What the bytes are, judged by how they begin and never by a file name."""

from enum import StrEnum

from models.errors import UnreadableImageError


class SourceFormat(StrEnum):
    """The formats that are read."""

    DICOM = "DICOM"
    PNG = "PNG"
    JPEG = "JPEG"


_PREAMBLE_BYTES = 128
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_SIGNATURE = b"\xff\xd8\xff"

_OTHER_FORMATS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"RIFF", "a RIFF file (WebP, AVI or WAV)"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xff\x4f\xff\x51", "a bare JPEG 2000 codestream"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 file"),
    (b"<", "an XML or HTML document"),
    (b"{", "a JSON document"),
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


def _describe(data: bytes) -> str:
    """What else the bytes seem to be; never any of their content."""
    if not data:
        return "nothing: the input is empty"
    for signature, name in _OTHER_FORMATS:
        if data.startswith(signature):
            return name
    return f"{len(data)} bytes of no known format"


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
    raise UnreadableImageError(
        f"Found {_describe(data)}; expected a DICOM, PNG or JPEG radiograph. "
        "Send the file as the modality or archive exported it."
    )
