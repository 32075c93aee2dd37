"""Audit events a second, and what waiting for one costs, on SQLite and on PostgreSQL."""

import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Engine

from benchmarks.audit_writer import TASKS, an_event, audit_engine, new_recorder, record_for
from benchmarks.bench import Bench
from benchmarks.figures import Bound, Figure, Section, Target
from benchmarks.one_chain import distant_writer, make_one_chain
from benchmarks.postgresql import PostgresServer, find_postgresql, running_postgresql
from benchmarks.rounds import Contender, Samples, Spread, ratio, take_turns
from serving.audit.writing import DatabaseRecorder

_WRITERS = 4
_LANES = "a lane each"
_CHAIN = "one chain"
_RATE = "events/s"
_DISTANT = "beside a distant writer"
_LEAST_RATE = Target(Bound.AT_LEAST, 2000)
_MORE = Target(Bound.MORE_THAN, 1)
_METHOD = (
    f"{TASKS} tasks of one event loop record events, each its next one when the last is durable: "
    "as many requests in flight do. One transaction makes durable what came while the last one was "
    "written. A commit is on disk when it returns (SQLite: WAL with synchronous FULL; PostgreSQL: "
    "synchronous_commit on). One alone is the wait of a request for its event when no others come.",
    f"Many writers: {_WRITERS} processes write to one PostgreSQL, each to a lane of its own, "
    "against the same processes where each transaction holds one lock from its first event to its "
    "commit, as it would have to for one chain. A distant writer beside one that is measured holds "
    "its lane, or the chain, for 20 ms at a time and half of the time, as one does whose line has "
    "round trips of 10 ms; a wait is the mean over all events.",
)


def measure(bench: Bench) -> Section:
    """Measure how fast events become durable."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        seconds, rounds = bench.effort.seconds, max(2, bench.effort.rounds // 3)
        sqlite = stack.enter_context(audit_engine(f"sqlite:///{folder}/audit.sqlite3"))
        rates: dict[str, Contender] = {"SQLite": _rate(sqlite, Path(folder), seconds)}
        waits: dict[str, Contender] = {"SQLite, one alone": _wait(sqlite, Path(folder), seconds)}
        many: dict[str, Contender] = {}
        beside: dict[str, Contender] = {}
        if (programs := find_postgresql()) is not None:
            server = stack.enter_context(running_postgresql(programs, durable=True))
            lanes, lanes_url = _database(stack, server)
            chain, chain_url = _database(stack, server)
            make_one_chain(chain)
            rates["PostgreSQL"] = _rate(lanes, Path(folder), seconds)
            waits["PostgreSQL, one alone"] = _wait(lanes, Path(folder), seconds)
            many = {
                _LANES: _many(lanes_url, folder, seconds),
                _CHAIN: _many(chain_url, folder, seconds),
            }
            beside = _beside({_LANES: lanes, _CHAIN: chain}, Path(folder), seconds)
        found = take_turns({**rates, **waits, **many, **beside}, rounds)
    figures = [
        Figure(f"events a second, {name}", Spread.of(found[name]), _RATE, _LEAST_RATE)
        for name in rates
    ]
    absolutes = [Figure(f"wait, {name}", Spread.of(found[name]), "ms") for name in waits]
    if many:
        figures += _ratios_to_one_chain(found)
        absolutes += [Figure(f"wait, {name}", Spread.of(found[name]), "ms") for name in beside]
        absolutes += [
            Figure(f"events a second, {_WRITERS} writers, {name}", Spread.of(found[name]), _RATE)
            for name in many
        ]
    return Section("audit", "The audit record", _METHOD, tuple(figures), tuple(absolutes))


def _ratios_to_one_chain(found: Samples) -> list[Figure]:
    waits = (f"{_DISTANT}, {name}" for name in (_CHAIN, _LANES))
    return [
        Figure(
            f"{_WRITERS} writers: {_LANES} / {_CHAIN}", ratio(found, _LANES, _CHAIN), "x", _MORE
        ),
        Figure(f"wait {_DISTANT}: {_CHAIN} / {_LANES}", ratio(found, *waits), "x", _MORE),
    ]


def _database(stack: contextlib.ExitStack, server: PostgresServer) -> tuple[Engine, str]:
    url = stack.enter_context(server.fresh_database())
    return stack.enter_context(audit_engine(url)), url


def _rate(engine: Engine, folder: Path, seconds: float) -> Contender:
    def turn() -> float:
        with new_recorder(engine, folder) as recorder:
            return asyncio.run(record_for(recorder, seconds)) / seconds

    return turn


def _wait(engine: Engine, folder: Path, seconds: float) -> Contender:
    def turn() -> float:
        with new_recorder(engine, folder) as recorder:
            return statistics.median(asyncio.run(_waits(recorder, seconds))) * 1e3

    return turn


def _beside(engines: Mapping[str, Engine], folder: Path, seconds: float) -> dict[str, Contender]:
    def contender(name: str, engine: Engine) -> Contender:
        def turn() -> float:
            with (
                new_recorder(engine, folder) as recorder,
                distant_writer(engine, one_chain=name == _CHAIN),
            ):
                return statistics.mean(asyncio.run(_waits(recorder, seconds))) * 1e3

        return turn

    return {f"{_DISTANT}, {name}": contender(name, engine) for name, engine in engines.items()}


async def _waits(recorder: DatabaseRecorder, seconds: float) -> list[float]:
    """Return how long each event was waited for, in seconds, one after the other."""
    end, found = time.perf_counter() + seconds, []
    while time.perf_counter() < end:
        started = time.perf_counter()
        await recorder.record(an_event())
        found.append(time.perf_counter() - started)
    return found


def _many(url: str, folder: str, seconds: float) -> Contender:
    """Return a contender: events a second of several processes together."""
    command = [sys.executable, "-m", "benchmarks.audit_writer", url, folder, str(seconds)]

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
