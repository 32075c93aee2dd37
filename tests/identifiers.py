"""Identifiable data for tests that look where it was left, in every form it could be written in."""

import base64
import json
import os
import urllib.parse
from pathlib import Path

CHINESE = "欧阳锋漏"
LATIN = "Zyxwvutski"
NUMBER = "ZZMRN90817263"
BIRTH = "19370219"
ACCESSION = "ZZACC55667788"
_TEXTS = (CHINESE, LATIN, NUMBER, BIRTH, "1937-02-19", ACCESSION)


def needles() -> dict[bytes, str]:
    """Every form in which the values could be written down."""
    found = {}
    for text in _TEXTS:
        forms = [text.encode(code) for code in ("utf-8", "utf-16-le", "utf-16-be")]
        forms += [text.encode("gb18030"), urllib.parse.quote(text).encode()]
        forms += [json.dumps(text)[1:-1].encode(), text.lower().encode(), text.upper().encode()]
        forms.append(repr(text.encode())[2:-1].encode())
        # The middle of what base64 makes of it, wherever it stands.
        for shift in range(3):
            encoded = base64.b64encode(b"\0" * shift + text.encode())
            if len(encoded) >= 16:
                forms.append(encoded[4:-4])
        found.update(dict.fromkeys(forms, text))
    return found


_NEEDLES = needles()


def leaks(content: bytes, where: str) -> list[str]:
    """What of the data is in `content`."""
    return [f"{text} in {where}" for needle, text in _NEEDLES.items() if needle in content]


def leaks_under(folder: Path) -> list[str]:
    """What of the data is in the names and bytes of the files in `folder`."""
    found = []
    for path in folder.rglob("*"):
        found += leaks(os.fsencode(path.name), "a file name")
        if path.is_file():
            found += leaks(path.read_bytes(), path.relative_to(folder.parent).as_posix())
    return found
