"""Patches cut from slides, whose names say slide, place and class.

Settings: `folder` below the data folder; `pattern`, a regular expression with named groups that the
path of every image file below the folder must match as a whole; `suffixes`, by default PNG, JPEG.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from datasets.sources import Listing, Place, Row
from models.errors import DataError

_SUFFIXES = (".png", ".jpg", ".jpeg")


def slide_patches(place: Place) -> Listing:
    """Return a row for every patch: the groups of `pattern`, and `path`.

    Raises:
        DataError: a file's name does not fit the pattern; none is left out silently.
    """
    root = place.folder()
    pattern = re.compile(str(place.setting("pattern")))
    suffixes = tuple(place.settings.get("suffixes", _SUFFIXES))
    return Listing(root, _rows(root, pattern, suffixes, place.name))


def _rows(
    root: Path, pattern: re.Pattern[str], suffixes: tuple[str, ...], name: str
) -> Iterator[Row]:
    files = sorted(p for p in root.rglob("*") if p.is_file() and p.suffix.lower() in suffixes)
    for file in files:
        path = file.relative_to(root).as_posix()
        said = pattern.fullmatch(path)
        if said is None:
            raise DataError(
                f"{name}/{path}: its name does not fit the pattern of the description, so its "
                "slide and class are not known; rename it, move it away, or mend the pattern."
            )
        yield Row(f"{name}/{path}", {**said.groupdict(default=""), "path": path})
