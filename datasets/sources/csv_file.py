"""CSV files, read strictly: what a spreadsheet would shift, cut or overwrite without a word stops.

RFC 4180. Rows are numbered as a spreadsheet numbers them: the headings are row 1, and an empty line
has a number, too.
"""

import codecs
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import DataError

UTF_8 = "utf-8-sig"


@dataclass(frozen=True, slots=True)
class TableFile:
    """What a table holds, as text."""

    columns: Sequence[str]
    rows: Mapping[int, Mapping[str, str]]
    """By the number that a spreadsheet shows; a value that is absent is the empty string."""


def read_csv(path: Path, shown: str, encoding: str = UTF_8) -> TableFile:
    """Read a CSV file; `shown` is how an error names it.

    Raises:
        DataError: it is in another encoding, two columns have one name, or a row has more or fewer
            cells than there are columns.
    """
    reader = csv.reader(io.StringIO(_text(path, shown, encoding), newline=""))
    columns = next(reader, [])
    twice = next((name for at, name in enumerate(columns) if name in columns[:at]), None)
    if twice is not None:
        raise DataError(
            f"{shown} has two columns {twice!r}; which of them is meant is not known. Rename one."
        )
    rows = {}
    for number, cells in enumerate(reader, start=2):
        if not cells:
            continue
        if len(cells) != len(columns):
            raise DataError(
                f"{shown} row {number} has {len(cells)} cells, expected {len(columns)}. A comma "
                "within a value must stand in quotes; a row that was cut off must be completed."
            )
        rows[number] = dict(zip(columns, cells, strict=True))
    return TableFile(columns, rows)


def _text(path: Path, shown: str, encoding: str) -> str:
    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise DataError(
            f"{shown}: encoding is {encoding!r}, which is not known; for example utf-8 or gb18030."
        ) from error
    try:
        return path.read_bytes().decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != UTF_8:
            raise DataError(f"{shown} is not in {encoding}; correct `encoding`.") from error
        raise DataError(
            f"{shown} is not UTF-8; save it again in UTF-8 (of a spreadsheet: as CSV UTF-8), or "
            "say `encoding: gb18030` under `source` where a Chinese system wrote it."
        ) from error
