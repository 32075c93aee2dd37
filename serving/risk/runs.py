"""One scoring of one file of people: in parts, in order, and on again after a kill.

Each part is read, scored and written as a file of its own beside the target; a part that is there
is finished. A run that was killed finds its parts and goes on behind them.
"""

import json
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import asdict
from datetime import UTC, date, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

from models.risk.score import Score
from serving.risk.known import Known
from serving.risk.summaries import PartCounts
from serving.risk.table_files import TableFileError, TableFormat


class Work(Protocol):
    """What is done to the people of a file."""

    ending: str
    """Of a part's file."""

    def plan(self) -> dict[str, Any]:
        """Return as JSON what decides the result; runs with the same plan can take up each other.

        Raises:
            TableFileError: there is nothing to read.
        """
        ...

    def parts(self, done: int, folder: Path) -> Iterator[Any]:
        """Yield the parts behind the first `done` people; `folder` may keep what helps to."""
        ...

    def scoring(self, today: date) -> Callable[[Any, Path, bool], PartCounts]:
        """Return what scores a part into a file: the part, the file, whether it is the first.

        A pool of processes must be able to send it.
        """
        ...

    def pool(self, workers: int) -> Executor:
        """Return where parts are scored side by side."""
        ...

    def join(self, parts: list[Path], target: Path) -> None:
        """Write `target` from the files of all parts; it appears whole or not at all."""
        ...


class ScoringWork:
    """What every scoring of a file works with; how people are read and written is a subclass's."""

    def __init__(
        self, score: Score, source: Path, kind: TableFormat, language: str, known: Known
    ) -> None:
        self._score = score
        self._source = source
        self._kind = kind
        self._language = language
        self._known = known
        self.ending = kind.value

    def _planned(self, **more: Any) -> dict[str, Any]:
        """Return what decides the result of any of them, and `more` that decides this one's."""
        return {
            "score": [self._score.id, self._score.version],
            "source": fingerprint(self._source),
            "format": self._kind.value,
            "language": self._language,
            **more,
        }


class Run:
    """One run, which may take up an earlier one."""

    def __init__(self, work: Work, target: Path) -> None:
        self._work = work
        self._target = target
        self.folder = target.with_name(f".{target.name}.parts")
        self.counts: list[PartCounts] = []
        """Of the parts that are finished, in order."""
        self._today = self._take_up()

    def parts(self, workers: int) -> Iterator[PartCounts]:
        """Score the parts that are missing and yield the counts of all, in order."""
        yield from self.counts
        done = sum(part.people for part in self.counts)
        waiting = self._work.parts(done, self.folder)
        first = list(islice(waiting, 2))
        score = self._work.scoring(self._today)
        if len(first) < 2:
            # Too little to begin further threads or processes for.
            for part in first:
                yield self._kept(score(part, *self._place(len(self.counts))))
            return
        with self._work.pool(workers) as pool:
            try:
                yield from self._side_by_side(pool, workers, score, chain(first, waiting))
            finally:
                pool.shutdown(cancel_futures=True)

    def _side_by_side(
        self,
        pool: Executor,
        workers: int,
        score: Callable[[Any, Path, bool], PartCounts],
        parts: Iterator[Any],
    ) -> Iterator[PartCounts]:
        running: deque[Future[PartCounts]] = deque()
        for number, part in enumerate(parts, len(self.counts)):
            running.append(pool.submit(score, part, *self._place(number)))
            # No more parts in memory than the workers need to stay busy.
            if len(running) > workers:
                yield self._kept(running.popleft().result())
        while running:
            yield self._kept(running.popleft().result())

    def finish(self) -> None:
        """Join the parts into the target and remove what is no longer needed."""
        self._work.join([self._place(n)[0] for n in range(len(self.counts))], self._target)
        shutil.rmtree(self.folder)

    def _kept(self, counts: PartCounts) -> PartCounts:
        self.counts.append(counts)
        return counts

    def _take_up(self) -> date:
        """Keep the parts of an earlier run of the same work, and of nothing else; return the day
        on which it began, for that is the day of the assessments.
        """
        plan = self.folder / "plan.json"
        wanted = self._work.plan()
        found = json.loads(plan.read_text("utf-8")) if plan.exists() else {}
        began = found.pop("began", None)
        if found != wanted:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            began = datetime.now(UTC).date().isoformat()
            written = json.dumps({**wanted, "began": began})
            plan.write_text(written, encoding="utf-8")
        while self._place(len(self.counts))[0].exists():
            told = counts_file(self._place(len(self.counts))[0]).read_text("utf-8")
            self.counts.append(PartCounts(**json.loads(told)))
        return date.fromisoformat(began)

    def _place(self, number: int) -> tuple[Path, bool]:
        return self.folder / f"{number:06d}{self._work.ending}", number == 0


def counts_file(part: Path) -> Path:
    """Return where the counts of a part are kept."""
    return part.with_suffix(".json")


def keep_counts(part: Path, counts: PartCounts) -> None:
    """Write the counts of a part, before the part itself is there."""
    counts_file(part).write_text(json.dumps(asdict(counts)), encoding="utf-8")


def fingerprint(source: Path) -> list[Any]:
    """Return what tells a file, or a folder's files, from what they were before.

    Raises:
        TableFileError: there is none.
    """
    if not source.exists():
        raise TableFileError(f"{source} does not exist.")
    files = sorted(source.glob("*.ndjson")) if source.is_dir() else [source]
    stats = [(file.name, file.stat()) for file in files]
    return [
        str(source.resolve()),
        *([name, stat.st_size, stat.st_mtime_ns] for name, stat in stats),
    ]
