"""What authentication, policy and the audit record together add to a request."""

import http.client
import os
import statistics
import sys
import tempfile
import time

from benchmarks.bench import Bench
from benchmarks.figures import Bound, Figure, Section, Target
from benchmarks.rounds import Contender, Samples, Spread, seconds_each, take_turns
from benchmarks.servers import Server, ServerSpec, zhuzhen_spec

_REQUESTS = 60
_PATH = "/v1/session"
_MOST_ADDED = Target(Bound.AT_MOST, 1.0)
_METHOD = (
    "The service, and beside it the same service without its guard, in turns: one client, one "
    "connection. With the guard a request carries a key; it is verified (from memory after the "
    "first), the policy decides twice, and the event of it is on disk, with its place in a chain "
    "of hashes, before the answer is sent. On SQLite.",
    "POST /v1/recognize with an uncompressed DICOM file: the event is written while the image is "
    "read. GET /v1/session does nothing but answer, so that a request waits for the disk and "
    "nothing else; how long a disk needs for that (fdatasync of 4 KiB) stands beside it.",
)


def measure(bench: Bench) -> Section:
    """Measure what the guard adds to a request."""
    program = (sys.executable, "-m", "benchmarks.unguarded_server")
    unguarded = ServerSpec("without the guard", program, "/readyz", "/v1/recognize")
    body = bench.bodies.uncompressed
    with (
        Server(zhuzhen_spec()) as service,
        Server(unguarded) as other,
        tempfile.TemporaryFile() as file,
    ):
        bench.warm(service, body)
        bench.warm(other, body)
        turns = {
            "recognize, with": bench.latency(service, body),
            "recognize, without": bench.latency(other, body),
            "session, with": _turn(service, bench.key),
            "session, without": _turn(other, bench.key),
            "fdatasync": _syncing(file.fileno()),
        }
        found = take_turns(turns, bench.effort.rounds)
    figures = (
        Figure("added to POST /v1/recognize", _added(found, "recognize"), "ms", _MOST_ADDED),
        Figure("added to GET /v1/session", _added(found, "session"), "ms"),
    )
    absolutes = tuple(
        Figure(what, Spread.of([value * 1e3 for value in found[name]]), "ms")
        for name, what in (
            ("recognize, with", "POST /v1/recognize, with the guard"),
            ("recognize, without", "POST /v1/recognize, without"),
            ("session, with", "GET /v1/session, with the guard"),
            ("session, without", "GET /v1/session, without"),
            ("fdatasync", "the disk: fdatasync of 4 KiB"),
        )
    )
    return Section("access", "Who may do what", _METHOD, figures, absolutes)


def _added(found: Samples, what: str) -> Spread:
    pairs = zip(found[f"{what}, with"], found[f"{what}, without"], strict=True)
    return Spread.of([(above - below) * 1e3 for above, below in pairs])


def _syncing(file: int) -> Contender:
    def sync() -> None:
        os.pwrite(file, os.urandom(4096), 0)
        os.fdatasync(file)

    return seconds_each(sync, _REQUESTS)


def _turn(server: Server, key: str) -> Contender:
    """Return a contender: the median of some requests in seconds."""

    def turn() -> float:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        headers = {"Authorization": f"Bearer {key}"}
        times = []
        try:
            for _ in range(_REQUESTS):
                started = time.perf_counter()
                connection.request("GET", _PATH, headers=headers)
                answer = connection.getresponse()
                answer.read()
                times.append(time.perf_counter() - started)
                if answer.status != http.HTTPStatus.OK:
                    raise RuntimeError(f"GET {_PATH} was answered {answer.status}")
        finally:
            connection.close()
        return statistics.median(times)

    return turn
