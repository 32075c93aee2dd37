"""Scoring a table of people: in parts, on all cores, in order, and on again after a kill.

Each part is read, scored and written as a file of its own; a part that is there is finished. A run
that was killed finds its parts beside the target and goes on behind them. Nothing is dropped: a row
without a number says why.
"""

import hashlib
import json
import os
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.risk.column_names import ColumnName, column_name
from models.risk.evaluation import Outcome, checked_needs, evaluate
from models.risk.input_kinds import Kind
from models.risk.inputs import INPUTS
from models.risk.reading import read_column
from models.risk.refusals import blamed_input, refusal_of
from models.risk.score import Columns, Floats, Score, Status
from serving.risk.table_files import (
    PART_ROWS,
    TableFileError,
    TableFormat,
    join_parts,
    read_parts,
    write_part,
)

RESULT_COLUMNS = ("value", "unit", "category", "status", "reason")
_HISTOGRAM_BINS = 40


@dataclass(slots=True)
class Summary:
    """What became of a population."""

    score: str
    version: str
    people: int = 0
    scored: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    categories: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    """By status and input: `missing:waist_cm`."""
    quantiles: dict[str, float] = field(default_factory=dict)
    """Of the values: of 5, 25, 50, 75 and 95 % of the people; from a histogram."""
    histogram: list[int] = field(default_factory=list)
    histogram_edges: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PartCounts:
    """Of one part, kept beside it so that a resumed run need not read it again."""

    people: int
    statuses: Mapping[str, int]
    categories: Mapping[str, int]
    refusals: Mapping[str, int]
    values: Mapping[str, int]
    """Counts by value, rounded to three digits: small, and exact enough for a distribution."""


def score_table(
    score: Score,
    source: Path,
    target: Path,
    *,
    language: str = "en",
    workers: int | None = None,
    progress: Callable[[int], None] = lambda people: None,
) -> Summary:
    """Score every row of `source` into `target`, and return what became of them.

    Raises:
        TableFileError: source or target cannot be read or written as a table.
    """
    kind = TableFormat.of(target)
    run = _Run(score, source, target, kind, language)
    workers = workers or len(os.sched_getaffinity(0))
    for counts in run.parts(workers):
        progress(counts.people)
    return run.finish()


class _Run:
    """One scoring of one table, which can be taken up again."""

    def __init__(
        self, score: Score, source: Path, target: Path, kind: TableFormat, language: str
    ) -> None:
        self._score = score
        self._source = source
        self._target = target
        self._kind = kind
        self._language = language
        self._folder = target.with_name(f".{target.name}.parts")
        self._counts: list[PartCounts] = []
        if source.resolve() == target.resolve():
            raise TableFileError("The output would overwrite the input; name another file.")
        self._take_up()

    def parts(self, workers: int) -> Iterator[PartCounts]:
        """Score the parts that are missing and yield the counts of all, in order."""
        yield from self._counts
        waiting: deque[Future[PartCounts]] = deque()
        skip = len(self._counts) * PART_ROWS
        number = len(self._counts)
        with ThreadPoolExecutor(workers, thread_name_prefix="scoring") as pool:
            try:
                for table in read_parts(self._source, skip):
                    waiting.append(pool.submit(self._part, number, table))
                    number += 1
                    # No more parts in memory than the workers need to stay busy.
                    if len(waiting) > workers:
                        yield self._kept(waiting.popleft().result())
                while waiting:
                    yield self._kept(waiting.popleft().result())
            finally:
                pool.shutdown(cancel_futures=True)

    def finish(self) -> Summary:
        """Join the parts into the target and remove what is no longer needed."""
        if not self._counts:
            raise TableFileError(f"{self._source.name} has no rows.")
        join_parts([self._file(n) for n in range(len(self._counts))], self._target, self._kind)
        shutil.rmtree(self._folder)
        return summary_of(self._score, self._counts)

    def _kept(self, counts: PartCounts) -> PartCounts:
        self._counts.append(counts)
        return counts

    def _take_up(self) -> None:
        """Keep the parts of an earlier run of the same work, and of nothing else."""
        plan = self._folder / "plan.json"
        wanted = self._plan()
        if not plan.exists() or json.loads(plan.read_text("utf-8")) != wanted:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True)
            plan.write_text(json.dumps(wanted), encoding="utf-8")
        while self._file(len(self._counts)).exists():
            told = self._file(len(self._counts)).with_suffix(".json").read_text("utf-8")
            self._counts.append(PartCounts(**json.loads(told)))

    def _plan(self) -> dict[str, Any]:
        try:
            status = self._source.stat()
        except FileNotFoundError:
            raise TableFileError(f"{self._source} does not exist.") from None
        return {
            "score": [self._score.id, self._score.version],
            "source": [str(self._source.resolve()), status.st_size, status.st_mtime_ns],
            "format": self._kind.value,
            "language": self._language,
            "part_rows": PART_ROWS,
            "result": hashlib.sha256(",".join(RESULT_COLUMNS).encode()).hexdigest()[:8],
        }

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:06d}{self._kind.value}"

    def _part(self, number: int, table: pa.Table) -> PartCounts:
        scored, counts = score_part(self._score, table, self._language)
        file = self._file(number)
        file.with_suffix(".json").write_text(json.dumps(asdict(counts)), encoding="utf-8")
        write_part(scored, file, self._kind, header=number == 0)
        return counts


def score_part(score: Score, table: pa.Table, language: str = "en") -> tuple[pa.Table, PartCounts]:
    """Return `table` with the result columns, and what became of its rows.

    Raises:
        TableFileError: a result column is there already, or two columns hold one input.
    """
    taken = sorted(set(RESULT_COLUMNS) & set(table.column_names))
    if taken:
        raise TableFileError(
            f"The table already has a column {taken[0]}, which results are written to; rename it."
        )
    columns = columns_of(score, table)
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


def columns_of(score: Score, table: pa.Table) -> Columns:
    """Return the columns of `table` that the score looks at, as numbers.

    Raises:
        TableFileError: two columns hold the same input.
    """
    wanted = {need.name for need in checked_needs(score)}
    found: dict[str, Floats] = {}
    for name in table.column_names:
        meant = column_name(name, score)
        if meant is None or meant.input not in wanted:
            continue
        if meant.input in found:
            raise TableFileError(f"Two columns hold the input {meant.input}; keep one of them.")
        found[meant.input] = _numbers(meant, table.column(name).combine_chunks())
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
    numbers, counts = np.unique(_three_digits(valued), return_counts=True)
    return PartCounts(
        people=len(outcome.status),
        statuses={Status(n).word: int(c) for n, c in enumerate(statuses) if c},
        categories={b.name: int(c) for b, c in zip(score.bands, bands, strict=True) if c},
        refusals={
            f"{Status(status).word}:{blamed_input(score, blamed) or 'value'}": count
            for (status, blamed), count in blames.items()
        },
        values={f"{n:g}": int(c) for n, c in zip(numbers, counts, strict=True)},
    )


def _three_digits(values: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 10.0 ** (2 - np.floor(np.log10(np.abs(values))))
    rounded = np.round(values * scale) / scale
    return np.where(values == 0, 0.0, rounded)


def summary_of(score: Score, parts: list[PartCounts]) -> Summary:
    """Add up what became of all parts."""
    summary = Summary(score.id, score.version)
    values: Counter[float] = Counter()
    for name in ("statuses", "categories", "refusals"):
        total: Counter[str] = Counter()
        for part in parts:
            total.update(getattr(part, name))
        getattr(summary, name).update(total.most_common())
    for part in parts:
        summary.people += part.people
        values.update({float(value): count for value, count in part.values.items()})
    summary.scored = sum(values.values())
    if values:
        _distribute(summary, values)
    return summary


def _distribute(summary: Summary, values: Counter[float]) -> None:
    numbers = np.array(sorted(values))
    counts = np.array([values[number] for number in numbers.tolist()])
    ranks = np.cumsum(counts) / counts.sum()
    for share in (5, 25, 50, 75, 95):
        place = min(int(np.searchsorted(ranks, share / 100)), len(numbers) - 1)
        summary.quantiles[f"p{share}"] = float(numbers[place])
    # The last percent would squeeze all others into the first bins.
    top = float(numbers[min(int(np.searchsorted(ranks, 0.99)), len(numbers) - 1)])
    span = (float(numbers[0]), top if top > numbers[0] else float(numbers[0]) + 1.0)
    heights, edges = np.histogram(
        np.minimum(numbers, span[1]), _HISTOGRAM_BINS, span, weights=counts
    )
    summary.histogram = [int(height) for height in heights]
    summary.histogram_edges = [float(edge) for edge in edges]
