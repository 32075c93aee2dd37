"""The file meta information that instances are kept with (PS3.10 section 7.1)."""

import struct
from dataclasses import dataclass
from io import BytesIO

from pydicom.filereader import read_dataset, read_preamble
from pydicom.tag import BaseTag

from models.quiet import quiet_decoders
from serving.archive.errors import InstanceRefusedError, Refusal
from serving.software import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_PREAMBLE = bytes(128) + b"DICM"


@dataclass(frozen=True, slots=True)
class Opened:
    """A file taken apart."""

    transfer_syntax_uid: str
    data_set: memoryview


def file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Return preamble and group 0002 of a file; Explicit VR Little Endian, as it always is."""
    elements = (
        struct.pack("<HH2sxxLxB", 2, 1, b"OB", 2, 1),
        _short(2, b"UI", _uid(sop_class_uid)),
        _short(3, b"UI", _uid(sop_instance_uid)),
        _short(0x10, b"UI", _uid(transfer_syntax_uid)),
        _short(0x12, b"UI", _uid(IMPLEMENTATION_CLASS_UID)),
        _short(0x13, b"SH", _even(IMPLEMENTATION_VERSION_NAME.encode(), b" ")),
    )
    body = b"".join(elements)
    return _PREAMBLE + _short(0, b"UL", struct.pack("<L", len(body))) + body


def open_file(data: bytes | memoryview) -> Opened:
    """Take a file with file meta information apart.

    Raises:
        InstanceRefusedError: it is no DICOM file, or its Transfer Syntax UID is missing.
    """
    stream = BytesIO(data)
    try:
        with quiet_decoders():
            if read_preamble(stream, force=True) is None:
                raise ValueError("no preamble")
            meta = read_dataset(stream, False, True, stop_when=_after_file_meta)
            syntax = str(meta["TransferSyntaxUID"].value)
    except Exception:  # noqa: BLE001 - broken files make pydicom raise errors of any type
        raise InstanceRefusedError(
            Refusal.NOT_UNDERSTOOD,
            "This is no DICOM file: the preamble or the Transfer Syntax UID (0002,0010) is "
            "missing. Send complete files (PS3.10).",
        ) from None
    return Opened(syntax, memoryview(data)[stream.tell() :])


def data_set_offset(file: bytes) -> int:
    """Return where the data set begins in a file that this module made."""
    length = struct.unpack_from("<L", file, len(_PREAMBLE) + 8)[0]
    return len(_PREAMBLE) + 12 + int(length)


def _after_file_meta(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag.group != 2


def _short(number: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", 2, number, vr, len(value)) + value


def _uid(value: str) -> bytes:
    return _even(value.encode("ascii"), b"\0")


def _even(value: bytes, padding: bytes) -> bytes:
    return value + padding if len(value) % 2 else value
