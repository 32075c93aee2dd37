"""Tables of people on disk: CSV, Parquet and newline-delimited JSON, read and written in parts."""

import codecs
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from models.errors import InputError

PART_ROWS = 131_072
"""People read, scored and written at a time; memory is bounded by a few such parts."""
_CSV_BLOCK_BYTES = 16 * 2**20


class TableFileError(InputError):
    """A table cannot be read, or is of a kind that is not known."""


class TableFormat(StrEnum):
    """Kinds of tables, by the ending of the file's name."""

    CSV = ".csv"
    PARQUET = ".parquet"
    NDJSON = ".ndjson"
    """FHIR resources, which `serving.fhir.bulk` reads."""

    @classmethod
    def of(cls, path: Path) -> "TableFormat":
        """Return the format that the ending of `path` tells.

        Raises:
            TableFileError: it tells none.
        """
        try:
            return cls(path.suffix.lower())
        except ValueError:
            raise TableFileError(
                f"{path.name} ends in {path.suffix or 'nothing'}; expected .csv, .parquet or "
                ".ndjson (FHIR resources, one a line)."
            ) from None


def read_parts(path: Path, skip: int = 0) -> Iterator[pa.Table]:
    """Yield the rows of `path` in order, in tables of `PART_ROWS`, after the first `skip` rows.

    `skip` is a multiple of `PART_ROWS`.

    Raises:
        TableFileError: it is absent, or no such table; naming the row where CSV is broken.
    """
    try:
        batches = _csv(path) if TableFormat.of(path) is TableFormat.CSV else _parquet(path)
        yield from _in_parts(batches, skip)
    except FileNotFoundError:
        raise TableFileError(f"{path} does not exist.") from None
    except pa.ArrowInvalid as error:
        # The first line of Arrow's text names the row; what follows may quote it.
        told = str(error).splitlines()[0].partition(", got")[0][:200]
        raise TableFileError(f"{path.name} is not a readable table: {told}") from None
    except UnicodeDecodeError:
        raise TableFileError(
            f"{path.name} is text in neither UTF-8, UTF-16 nor GB18030 (GBK); save it as UTF-8."
        ) from None


def encoding_of(path: Path) -> str:
    """Return how a CSV file is written: UTF-8, UTF-16 by its mark, else GB18030, of which GBK and
    GB 2312 are parts: what spreadsheets in Chinese save.
    """
    decode = codecs.getincrementaldecoder("utf-8")().decode
    with path.open("rb") as file:
        start = file.read(2)
        if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
        try:
            decode(start)
            while block := file.read(_CSV_BLOCK_BYTES):
                decode(block)
            decode(b"", True)
        except UnicodeDecodeError:
            return "gb18030"
    return "utf-8"


def has_mark(path: Path) -> bool:
    """Whether a CSV file comes from a spreadsheet that takes UTF-8 only with a byte order mark."""
    with path.open("rb") as file:
        marked = file.read(3) == codecs.BOM_UTF8
    return marked or encoding_of(path) != "utf-8"


def _header(path: Path, encoding: str) -> tuple[list[str], str]:
    """Return the names of the columns and what stands between them."""
    with path.open(encoding=encoding, newline="") as file:
        header = file.readline().removeprefix("\ufeff").strip("\r\n")
    delimiter = max(",;\t", key=header.count)
    names = pa.csv.open_csv(
        pa.BufferReader(f"{header}\n".encode() * 2),
        parse_options=pa.csv.ParseOptions(delimiter=delimiter),
    ).schema.names
    return names, delimiter


def _csv(path: Path) -> Iterator[pa.RecordBatch]:
    # Everything as text: a column of numbers in which one cell is a word must not end the reading,
    # and what goes out must be what came in, digit for digit.
    encoding = encoding_of(path)
    names, delimiter = _header(path, encoding)
    if len(set(names)) != len(names):
        raise TableFileError(f"{path.name} has two columns of the same name; rename one.")
    yield from pa.csv.open_csv(
        path,
        read_options=pa.csv.ReadOptions(block_size=_CSV_BLOCK_BYTES, encoding=encoding),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
        parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
    )


def _parquet(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.parquet.ParquetFile(path, memory_map=True) as file:
        yield from file.iter_batches(batch_size=PART_ROWS)


def _in_parts(batches: Iterator[pa.RecordBatch], skip: int) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        if skip >= batch.num_rows:
            skip -= batch.num_rows
            continue
        piece = batch.slice(skip)
        skip = 0
        while rows + piece.num_rows >= PART_ROWS:
            taken = PART_ROWS - rows
            yield pa.Table.from_batches([*waiting, piece.slice(0, taken)])
            waiting, rows, piece = [], 0, piece.slice(taken)
        if piece.num_rows:
            waiting.append(piece)
            rows += piece.num_rows
    if waiting:
        yield pa.Table.from_batches(waiting)


def write_part(
    table: pa.Table, path: Path, kind: TableFormat, *, header: bool, mark: bool = False
) -> None:
    """Write one part of a table so that it is whole or absent, whatever happens.

    `mark` begins CSV with a byte order mark, without which spreadsheets take UTF-8 for what they
    saved.
    """
    draft = path.with_suffix(".draft")
    if kind is TableFormat.CSV:
        options = pa.csv.WriteOptions(include_header=header, quoting_style="needed")
        with draft.open("wb") as out:
            out.write(codecs.BOM_UTF8 if header and mark else b"")
            pa.csv.write_csv(table, out, options)
    else:
        # Read once, by whoever joins the parts: neither compressed nor made small otherwise.
        pa.parquet.write_table(
            table, draft, compression="none", use_dictionary=False, write_statistics=False
        )
    draft.replace(path)


def join_parts(parts: list[Path], target: Path, kind: TableFormat) -> None:
    """Write `target` from its parts in order; it appears whole or not at all."""
    draft = target.with_name(f"{target.name}.draft")
    if kind is not TableFormat.PARQUET:
        with draft.open("wb") as out:
            for part in parts:
                with part.open("rb") as piece:
                    while block := piece.read(_CSV_BLOCK_BYTES):
                        out.write(block)
    else:
        _join_parquet(parts, draft)
    draft.replace(target)


def _join_parquet(parts: list[Path], draft: Path) -> None:
    with pa.parquet.ParquetFile(parts[0]) as first:
        schema: Any = first.schema_arrow
    # What was measured repeats, what was computed does not: a dictionary of it is only slow.
    repeating = [name for name in schema.names if name != "value"]
    with pa.parquet.ParquetWriter(draft, schema, use_dictionary=repeating) as writer:
        for part in parts:
            writer.write_table(pa.parquet.read_table(part, schema=schema))
