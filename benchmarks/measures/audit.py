"""Audit events a second, and what waiting for one costs, on SQLite and on PostgreSQL."""

import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import Engine

from benchmarks.audit_writer import TASKS, an_event, audit_engine, new_recorder, record_for
from benchmarks.bench import Bench
from benchmarks.figures import Bound, Figure, Section, Target
from benchmarks.postgresql import find_postgresql, running_postgresql
from benchmarks.rounds import Contender, Spread, ratio, take_turns
from serving.audit.writing import DatabaseRecorder

_WRITERS = 4
_LEAST_RATE = Target(Bound.AT_LEAST, 2000)
_METHOD = (
    f"{TASKS} tasks of one event loop record events, each its next one when the last is durable: "
    "as many requests in flight do. One transaction makes durable what came while the last one was "
    "written. A commit is on disk when it returns (SQLite: WAL with synchronous FULL; PostgreSQL: "
    "synchronous_commit on). One alone is the wait of a request for its event when no others come.",
    f"Many writers: {_WRITERS} processes write to one PostgreSQL, each to a lane of its own, "
    "against the same processes that hold one lock for each transaction, as they would have to for "
    "one chain.",
)


def measure(bench: Bench) -> Section:
    """Measure how fast events become durable."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        seconds, rounds = bench.effort.seconds, max(2, bench.effort.rounds // 3)
        sqlite = stack.enter_context(audit_engine(f"sqlite:///{folder}/audit.sqlite3"))
        rates: dict[str, Contender] = {"SQLite": _rate(sqlite, Path(folder), seconds)}
        waits: dict[str, Contender] = {"SQLite, one alone": _wait(sqlite, Path(folder), seconds)}
        many: dict[str, Contender] = {}
        if (programs := find_postgresql()) is not None:
            server = stack.enter_context(running_postgresql(programs, durable=True))
            url = stack.enter_context(server.fresh_database())
            postgresql = stack.enter_context(audit_engine(url))
            rates["PostgreSQL"] = _rate(postgresql, Path(folder), seconds)
            waits["PostgreSQL, one alone"] = _wait(postgresql, Path(folder), seconds)
            many = {
                "a lane each": _many(url, folder, seconds, one_chain=False),
                "one chain": _many(url, folder, seconds, one_chain=True),
            }
        found = take_turns({**rates, **waits, **many}, rounds)
    figures = [
        Figure(f"events a second, {name}", Spread.of(found[name]), "events/s", _LEAST_RATE)
        for name in rates
    ]
    if many:
        figures.append(
            Figure(
                f"{_WRITERS} writers, a lane each / one chain",
                ratio(found, "a lane each", "one chain"),
                "x",
                Target(Bound.MORE_THAN, 1),
            )
        )
    absolutes = [Figure(f"wait, {name}", Spread.of(found[name]), "ms") for name in waits]
    absolutes += [
        Figure(f"events a second, {_WRITERS} writers, {name}", Spread.of(found[name]), "events/s")
        for name in many
    ]
    return Section("audit", "The audit record", _METHOD, tuple(figures), tuple(absolutes))


def _rate(engine: Engine, folder: Path, seconds: float) -> Contender:
    def turn() -> float:
        with new_recorder(engine, folder) as recorder:
            return asyncio.run(record_for(recorder, seconds)) / seconds

    return turn


def _wait(engine: Engine, folder: Path, seconds: float) -> Contender:
    async def waits(recorder: DatabaseRecorder) -> list[float]:
        end, found = time.perf_counter() + seconds, []
        while time.perf_counter() < end:
            started = time.perf_counter()
            await recorder.record(an_event())
            found.append(time.perf_counter() - started)
        return found

    def turn() -> float:
        with new_recorder(engine, folder) as recorder:
            return statistics.median(asyncio.run(waits(recorder))) * 1e3

    return turn


def _many(url: str, folder: str, seconds: float, *, one_chain: bool) -> Contender:
    """Return a contender: events a second of several processes together."""
    chain = "one-chain" if one_chain else "lanes"
    command = [sys.executable, "-m", "benchmarks.audit_writer", url, folder, str(seconds), chain]

    def turn() -> float:
        writers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(_WRITERS)
        ]
        # All are ready before any begins.
        for writer in writers:
            if writer.stdout is not None:
                writer.stdout.readline()
        for writer in writers:
            if writer.stdin is not None:
                writer.stdin.write("go\n")
                writer.stdin.flush()
        return sum(float(writer.communicate()[0]) for writer in writers)

    return turn
