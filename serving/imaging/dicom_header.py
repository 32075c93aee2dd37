"""The header of a DICOM object, read without touching its pixels.

Only the elements that matter here are read at all: names, identifiers and free text of the
patient are never looked at, so that no message can repeat them and no character set can break
them.
"""

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from models.errors import InputTooLargeError, UnreadableImageError
from serving.imaging.limits import ImageLimits

_KEYWORDS = [
    "SOPClassUID",
    "Modality",
    "PresentationIntentType",
    "BodyPartExamined",
    "AnatomicRegionSequence",
    "ViewPosition",
    "ViewCodeSequence",
    "PatientAge",
    "PatientBirthDate",
    "StudyDate",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "VOILUTFunction",
    "WindowCenter",
    "WindowWidth",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
]
_TAGS: list[BaseTag | int] = [Tag(keyword) for keyword in _KEYWORDS]
"""All that is read: PS3.3 C.7.1.1, C.7.2.1, C.7.5.1, C.7.6.3, C.8.1, C.8.11.1, C.11.1, C.11.2."""

_PIXEL_DATA = 0x7FE00010
_PIXEL_KEYWORD_BY_TAG = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData"}
_UNDEFINED_LENGTH = 0xFFFFFFFF
_LONG_EXPLICIT_VRS = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN"})
"""Representations with a 32-bit length that pixel data can have (PS3.5 7.1.2)."""


@dataclass(frozen=True, slots=True)
class DicomHeader:
    """Everything of a DICOM object but its pixels, and where those begin."""

    dataset: Dataset
    """The elements that are read, not yet interpreted."""
    transfer_syntax: UID
    content: bytes
    """The encoded data set: the input, or what it inflates to."""
    pixel_offset: int
    """First byte of the value of Pixel Data (7FE0,0010) in `content`."""
    pixel_length: int | None
    """Bytes of that value, `None` for encapsulated pixel data of undefined length."""
    pixels_are_words: bool
    """Whether the value representation is OW, which a byte order applies to."""

    @property
    def is_little_endian(self) -> bool:
        """Byte order of `content`."""
        return self.transfer_syntax != ExplicitVRBigEndian


def read_header(data: bytes, limits: ImageLimits) -> DicomHeader:
    """Reads the header of a DICOM object, with or without preamble.

    Raises `UnreadableImageError` where it is not DICOM, broken, or has no pixel data, and
    `InputTooLargeError` where a deflated data set inflates beyond its limit.
    """
    try:
        if _transfer_syntax(data) == DeflatedExplicitVRLittleEndian:
            dataset, content, position = _read_deflated(data, limits)
            syntax = DeflatedExplicitVRLittleEndian
        else:
            dataset, syntax, position = _read_plain(data)
            content = data
    except InputTooLargeError:
        raise
    except Exception:  # noqa: BLE001 - broken files make pydicom raise errors of any type
        raise UnreadableImageError(
            "The DICOM header cannot be parsed: the file is truncated or corrupt. Send it again "
            "from the modality or archive.",
            "DICOM 文件头无法解析：文件被截断或已损坏；请从设备或归档系统重新发送",
        ) from None
    if "Rows" not in dataset and "SOPClassUID" not in dataset and "Modality" not in dataset:
        raise UnreadableImageError(
            "The bytes begin like DICOM, but neither SOP Class UID (0008,0016) nor Modality "
            "(0008,0060) nor Rows (0028,0010) was found. Send a radiograph as a DICOM object.",
            "数据开头似为 DICOM，但未找到 SOP 类 UID (0008,0016)、成像方式 (0008,0060) 及"
            "行数 (0028,0010)；请以 DICOM 对象发送 X 线影像",
        )
    offset, length = _locate_pixel_data(content, position, syntax)
    are_words = content[position + 4 : position + 6] == b"OW"
    return DicomHeader(dataset, syntax, content, offset, length, are_words)


def _transfer_syntax(data: bytes) -> str | None:
    """Transfer Syntax UID of the file meta information, read on its own.

    Before pydicom sees the data set: it would inflate a deflated one without any bound.
    """
    stream = BytesIO(data)
    read_preamble(stream, force=True)
    meta = read_dataset(stream, False, True, stop_when=_after_file_meta)
    syntax = meta.get("TransferSyntaxUID")
    return None if syntax is None else str(syntax)


def _after_file_meta(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag.group != 2


def _at_pixel_data(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag == _PIXEL_DATA or tag in _PIXEL_KEYWORD_BY_TAG


def _read_plain(data: bytes) -> tuple[Dataset, UID, int]:
    stream = BytesIO(data)
    dataset = pydicom.dcmread(
        stream, stop_before_pixels=True, force=True, specific_tags=list(_TAGS)
    )
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        implicit, little = dataset.original_encoding
        syntax = _assumed_syntax(bool(implicit), bool(little))
    return dataset, UID(str(syntax)), stream.tell()


def _assumed_syntax(implicit: bool, little_endian: bool) -> str:
    """What a data set without file meta information is encoded in, as far as can be seen."""
    if implicit:
        return pydicom.uid.ImplicitVRLittleEndian
    return pydicom.uid.ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian


def _read_deflated(data: bytes, limits: ImageLimits) -> tuple[Dataset, bytes, int]:
    stream = BytesIO(data)
    read_preamble(stream, force=True)
    read_dataset(stream, False, True, stop_when=_after_file_meta)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflater.decompress(data[stream.tell() :], limits.max_inflated_bytes)
    if inflater.unconsumed_tail:
        raise InputTooLargeError(
            f"The deflated data set inflates to more than {limits.max_inflated_bytes} bytes. "
            "Send it uncompressed, or as a single radiograph.",
            f"压缩的数据集解压后超出 {limits.max_inflated_bytes} 字节的上限；"
            "请以未压缩格式发送，或只发送单幅影像",
        )
    inflated = BytesIO(content)
    dataset = read_dataset(
        inflated, False, True, stop_when=_at_pixel_data, specific_tags=list(_TAGS)
    )
    return dataset, content, inflated.tell()


def _locate_pixel_data(content: bytes, position: int, syntax: UID) -> tuple[int, int | None]:
    """Offset and length of the value of Pixel Data, whose element begins at `position`."""
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    element = content[position : position + 12]
    if len(element) < 8:
        raise UnreadableImageError(
            "The DICOM object has no Pixel Data (7FE0,0010): it is not an image, or it was cut "
            "off before the pixels. Send the complete image object.",
            "DICOM 对象不含像素数据 (7FE0,0010)：并非图像，或在像素之前被截断；"
            "请发送完整的图像对象",
        )
    group, number = struct.unpack(order + "HH", element[:4])
    keyword = _PIXEL_KEYWORD_BY_TAG.get(group << 16 | number)
    if keyword is not None:
        raise UnreadableImageError(
            f"The pixels are stored as {keyword}; expected Pixel Data (7FE0,0010) with whole "
            "numbers, as radiographs have.",
            f"像素以浮点数 ({keyword}) 存储，应为整数的像素数据 (7FE0,0010)；"
            "请确认发送的是 X 线影像",
        )
    if element[4:6] in _LONG_EXPLICIT_VRS and len(element) == 12:
        length = int(struct.unpack(order + "L", element[8:12])[0])
        offset = position + 12
    else:
        length = int(struct.unpack(order + "L", element[4:8])[0])
        offset = position + 8
    return offset, None if length == _UNDEFINED_LENGTH else length
