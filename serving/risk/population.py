"""Scoring a file of people: in parts, on all cores, in order, and on again after a kill.

Nothing is dropped: a row without a number says why.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.risk.column_names import ColumnName, column_name
from models.risk.evaluation import Outcome, evaluate
from models.risk.input_kinds import Kind
from models.risk.inputs import INPUTS
from models.risk.reading import read_column, read_value
from models.risk.refusals import blamed_input, refusal_of
from models.risk.score import Columns, Floats, Score, Status
from models.risk.units import UnitError
from serving.fhir.bulk import strays_of
from serving.risk.known import Known
from serving.risk.resource_lines import ResourceWork
from serving.risk.runs import Run, ScoringWork, Work, keep_counts
from serving.risk.summaries import PartCounts, Summary, counted_values, summary_of
from serving.risk.table_files import (
    PART_ROWS,
    TableFileError,
    TableFormat,
    has_mark,
    join_parts,
    read_parts,
    write_part,
)

RESULT_COLUMNS = ("value", "unit", "category", "status", "reason")
_NOTHING = Known()


def score_file(
    score: Score,
    source: Path,
    target: Path,
    *,
    language: str = "en",
    known: Known = _NOTHING,
    workers: int | None = None,
    progress: Callable[[int], None] = lambda people: None,
) -> Summary:
    """Score everybody in `source` into `target`, and return what became of them.

    Args:
        score: which.
        source: a table (.csv, .parquet), resources (.ndjson), or the folder of a bulk export.
        target: a table, or for resources .ndjson, too.
        language: of the reasons.
        known: what holds for everybody.
        workers: parts scored side by side; by default the processor cores that may be used.
        progress: told of people as they are finished.

    Raises:
        InputError: source or target cannot be read or written.
    """
    kind = TableFormat.of(target)
    if source.resolve() == target.resolve():
        raise TableFileError("The output would overwrite the input; name another file.")
    run = Run(_work(score, source, kind, language, known), target)
    for counts in run.parts(workers or len(os.sched_getaffinity(0))):
        progress(counts.people)
    if not run.counts:
        raise TableFileError(f"{source.name} has no rows.")
    summary = summary_of(score, run.counts)
    summary.strays = strays_of(run.folder)
    run.finish()
    return summary


def _work(score: Score, source: Path, kind: TableFormat, language: str, known: Known) -> Work:
    if source.is_dir() or TableFormat.of(source) is TableFormat.NDJSON:
        return ResourceWork(score, source, kind, language, known)
    if kind is TableFormat.NDJSON:
        raise TableFileError(
            "The rows of a table are no FHIR resources that an answer could refer to; name a .csv "
            "or .parquet file for the output."
        )
    return _TableWork(score, source, kind, language, known)


class _TableWork(ScoringWork):
    """A table in, the same table with the results out."""

    def __init__(
        self, score: Score, source: Path, kind: TableFormat, language: str, known: Known
    ) -> None:
        super().__init__(score, source, kind, language, known)
        self._mark = source.suffix.lower() == ".csv" and source.exists() and has_mark(source)

    def plan(self) -> dict[str, Any]:
        """Return what decides the result."""
        return self._planned(
            known=dict(self._known.inputs),
            part_rows=PART_ROWS,
            result=hashlib.sha256(",".join(RESULT_COLUMNS).encode()).hexdigest()[:8],
        )

    def parts(self, done: int, folder: Path) -> Iterator[pa.Table]:
        """Yield the rows behind the first `done` ones."""
        return read_parts(self._source, done)

    def scoring(self, today: date) -> Callable[[pa.Table, Path, bool], PartCounts]:
        """Return what scores a part; a table says nothing of days."""
        return self._score_into

    def pool(self, workers: int) -> Executor:
        """Return threads: columns are computed outside the interpreter."""
        return ThreadPoolExecutor(workers, thread_name_prefix="scoring")

    def join(self, parts: list[Path], target: Path) -> None:
        """Write the target from all parts."""
        join_parts(parts, target, self._kind)

    def _score_into(self, table: pa.Table, file: Path, first: bool) -> PartCounts:
        scored, counts = score_part(self._score, table, self._language, self._known)
        keep_counts(file, counts)
        write_part(scored, file, self._kind, header=first, mark=self._mark)
        return counts


def score_part(
    score: Score, table: pa.Table, language: str = "en", known: Known = _NOTHING
) -> tuple[pa.Table, PartCounts]:
    """Return `table` with the result columns, and what became of its rows.

    Raises:
        TableFileError: a result column is there already, or two columns hold one input.
    """
    taken = sorted(set(RESULT_COLUMNS) & set(table.column_names))
    if taken:
        raise TableFileError(
            f"The table already has a column {taken[0]}, which results are written to; rename it."
        )
    columns = columns_of(score, table, known)
    outcome = evaluate(score, columns, table.num_rows)
    status_words = [Status(code).word for code in range(len(Status))]
    results = {
        "value": pa.array(outcome.values, from_pandas=True),
        "unit": _words([score.unit], np.zeros(table.num_rows, np.int8)),
        "category": _words([band.name for band in score.bands], outcome.bands),
        "status": _words(status_words, outcome.status.astype(np.int8)),
        "reason": _reasons(score, outcome, columns, language),
    }
    for name, column in results.items():
        table = table.append_column(name, column)
    return table, _count(score, outcome)


def columns_of(score: Score, table: pa.Table, known: Known = _NOTHING) -> Columns:
    """Return the columns of `table` that the score looks at, as numbers.

    Raises:
        TableFileError: two columns hold the same input.
    """
    wanted = {need.name for need in score.checked}
    found: dict[str, Floats] = {}
    for name in table.column_names:
        meant = column_name(name, score)
        if meant is None or meant.input not in wanted:
            continue
        if meant.input in found:
            raise TableFileError(f"Two columns hold the input {meant.input}; keep one of them.")
        try:
            found[meant.input] = _numbers(meant, table.column(name).combine_chunks())
        except UnitError:
            raise TableFileError(
                f"The column of {meant.input} names a unit that is not understood; expected "
                f"{INPUTS[meant.input].unit or 'none'} or one that converts to it (UCUM)."
            ) from None
        except pa.ArrowException:
            raise TableFileError(
                f"The column of {meant.input} holds neither numbers nor text."
            ) from None
    for name in wanted & known.inputs.keys() - found.keys():
        found[name] = np.full(table.num_rows, read_value(name, known.inputs[name]).value)
    return found


def _numbers(meant: ColumnName, column: pa.Array) -> Floats:
    """Return one column as numbers; each distinct word is read once."""
    kind = column.type
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        coded = column if pa.types.is_dictionary(kind) else column.dictionary_encode()
        words = read_column(meant, coded.dictionary.to_pylist())
        places = coded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)
        numbers: Floats = np.append(words, np.nan)[places]
        return numbers
    plain = INPUTS[meant.input].kind is Kind.NUMBER or pa.types.is_boolean(kind)
    if plain and meant.words is None and not INPUTS[meant.input].whole:
        wide = pc.cast(column, pa.int8()) if pa.types.is_boolean(kind) else column
        cast = pc.cast(wide, pa.float64()).to_numpy(zero_copy_only=False)
        return cast if meant.unit is None else read_column(meant, cast)
    return read_column(meant, column.to_numpy(zero_copy_only=False))


def _words(words: list[str], places: NDArray[Any]) -> pa.Array:
    """Return the word at each place, null where it is negative."""
    masked = pa.array(places.astype(np.int8), mask=places < 0)
    return pa.DictionaryArray.from_arrays(masked, pa.array(words, pa.string())).cast(pa.string())


def _reasons(score: Score, outcome: Outcome, columns: Columns, language: str) -> pa.Array:
    """Return why a row has no number, or one that is extrapolated; each text is made once."""
    told: list[str] = []
    places = np.full(len(outcome.status), -1, np.int32)
    rows = np.flatnonzero(outcome.status)
    checks = outcome.status[rows].astype(np.int32) * _MOST_CHECKS + outcome.blamed[rows]
    for check in np.unique(checks).tolist():
        same = rows[checks == check]
        status, blamed = Status(int(outcome.status[same[0]])), int(outcome.blamed[same[0]])
        name = blamed_input(score, blamed)
        column = columns.get(name) if name is not None else None
        found = np.full(len(same), np.nan) if column is None else column[same]
        distinct, inverse = np.unique(found, return_inverse=True)
        places[same] = len(told) + inverse
        for value in distinct.tolist():
            refusal = refusal_of(score, status, blamed, value)
            told.append("" if refusal is None else getattr(refusal.told, language))
    coded = pa.array(places, mask=places < 0)
    return pa.DictionaryArray.from_arrays(coded, pa.array(told, pa.string())).cast(pa.string())


_MOST_CHECKS = 1_000
"""More than any score has."""


def _count(score: Score, outcome: Outcome) -> PartCounts:
    statuses = np.bincount(outcome.status, minlength=len(Status))
    bands = np.bincount(outcome.bands[outcome.bands >= 0], minlength=len(score.bands))
    refused = outcome.status > Status.EXTRAPOLATED
    pairs = (outcome.status[refused].tolist(), outcome.blamed[refused].tolist())
    blames = Counter(zip(*pairs, strict=True))
    valued = outcome.values[np.isfinite(outcome.values)]
    return PartCounts(
        people=len(outcome.status),
        statuses={Status(n).word: int(c) for n, c in enumerate(statuses) if c},
        categories={b.name: int(c) for b, c in zip(score.bands, bands, strict=True) if c},
        refusals={
            f"{Status(status).word}:{blamed_input(score, blamed) or 'value'}": count
            for (status, blamed), count in blames.items()
        },
        values=counted_values(valued),
    )
