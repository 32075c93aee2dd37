"""Single elements in the DICOM JSON model (PS3.18 annex F), for the few that the index holds.

pydicom's own way builds an object for each element and its value; for the two dozen elements of a
header that takes several times as long as receiving the instance. Texts with other character sets
than ASCII are decoded by pydicom.
"""

import struct
from typing import Any

from pydicom.charset import decode_bytes
from pydicom.valuerep import TEXT_VR_DELIMS, PersonName

from models.quiet import quiet_decoders

_TEXT_VRS = frozenset(("AE", "AS", "CS", "DA", "LO", "SH", "TM", "UI"))
_GB2312_ESCAPE = b"\x1b$)A"
_NAME_PARTS = ("Alphabetic", "Ideographic", "Phonetic")


def json_of(vr: str, value: bytes, encodings: list[str], order: str) -> dict[str, Any]:
    """Return one element; without a value where it has none, or none that fits `vr`.

    Args:
        encodings: Python's names of the character sets, as pydicom gives them.
        order: `<` or `>`, the byte order of numbers.
    """
    try:
        found = _values(vr, value, encodings, order)
    except (ValueError, struct.error, LookupError):
        found = []
    return {"vr": vr, "Value": found} if found else {"vr": vr}


def _values(vr: str, value: bytes, encodings: list[str], order: str) -> list[Any]:
    if vr == "US":
        return list(struct.unpack(f"{order}{len(value) // 2}H", value))
    padded = value.rstrip(b"\0 ")
    if not padded:
        return []
    if vr == "PN":
        return [_name(padded, encodings)]
    text = _text(padded, encodings)
    if vr == "IS":
        return [int(part) for part in text.split("\\")]
    if vr not in _TEXT_VRS:
        raise ValueError(f"VR {vr} is not among those of the index")
    return [part.strip(" ") or None for part in text.split("\\")]


def _text(value: bytes, encodings: list[str]) -> str:
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    if _is_gb2312(encodings):
        return _gb2312(value)
    with quiet_decoders():
        return decode_bytes(value, encodings, TEXT_VR_DELIMS).rstrip("\0 ")


def _name(value: bytes, encodings: list[str]) -> dict[str, str]:
    if value.isascii() and b"\x1b" not in value:
        groups = value.decode("ascii").split("=")
    elif _is_gb2312(encodings):
        groups = _gb2312(value).split("=")
    else:
        with quiet_decoders():
            name = PersonName(value, encodings)
            groups = [name.alphabetic, name.ideographic, name.phonetic]
    return {
        part: group.strip(" ")
        for part, group in zip(_NAME_PARTS, groups, strict=False)
        if group.strip(" ")
    }


def _is_gb2312(encodings: list[str]) -> bool:
    return any(encoding == "iso_ir_58" for encoding in encodings)


def _gb2312(value: bytes) -> str:
    """Decode ISO 2022 IR 58 (PS3.5 annex K), whose senders often leave the escape sequence out.

    pydicom leaves the sequence in the text, and takes a text without it for Latin 1. GB 18030 holds
    all of GB 2312 in the same places.
    """
    return value.replace(_GB2312_ESCAPE, b"").decode("gb18030")
