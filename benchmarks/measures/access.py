"""What authentication, policy and the audit record together add to a request."""

import contextlib
import http.client
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.figures import Bound, Figure, Section, Target
from benchmarks.inputs import PERSON
from benchmarks.rounds import Spread, seconds_each
from benchmarks.servers import Server, ServerSpec, zhuzhen_spec

_MOST_ADDED = Target(Bound.AT_MOST, 1.0)
_METHOD = (
    "The service, and beside it the same service without its guard: one client, one connection to "
    "each, request by request in turns, and who begins changes with each pair. With the guard a "
    "request carries a key; it is verified (from memory after the first), the policy decides "
    "twice, and the event of it is committed, with its place in a chain of hashes, before the "
    "answer is sent. A figure is the median difference of a round's pairs. On SQLite.",
    "POST /v1/recognize with an uncompressed DICOM file; POST /v1/score-risk with a person of whom "
    "one score is asked; GET /v1/session, which does nothing but answer. All three are what an "
    "institution reads of its own: the event outlives the process when the answer goes out, and "
    "is on disk within 100 ms. With ZHUZHEN_AUDIT_SYNC_WITHIN_MS=0 every answer waits for the "
    "disk; how long it needs for that (fdatasync of 4 KiB) stands beside it.",
)
_SCORING = json.dumps({"scores": "china-par", "person": PERSON}).encode()


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked of both services."""

    name: str
    method: str
    path: str
    pairs: int
    """In a round."""
    body: bytes | None = None
    content_type: str = "application/json"


def measure(bench: Bench) -> Section:
    """Measure what the guard adds to a request."""
    image = bench.bodies.uncompressed
    asked = (
        _Request("POST /v1/recognize", "POST", "/v1/recognize", 15, image.data, image.content_type),
        _Request("POST /v1/score-risk", "POST", "/v1/score-risk", 60, _SCORING),
        _Request("GET /v1/session", "GET", "/v1/session", 100),
    )
    with _both(bench, every_event_waits=False) as both:
        found = _rounds(both, asked, bench.effort.rounds)
    with _both(bench, every_event_waits=True) as both:
        waiting = _rounds(both, asked[-1:], max(2, bench.effort.rounds // 3))
    figures = [
        Figure(f"added to {one.name}", Spread.of(found[one.name, "added"]), "ms", _MOST_ADDED)
        for one in asked
    ]
    last = asked[-1].name
    figures.append(
        Figure(f"added to {last} where every event waits", Spread.of(waiting[last, "added"]), "ms")
    )
    absolutes = [
        Figure(f"{one.name}, {which} the guard", Spread.of(found[one.name, which]), "ms")
        for one in asked
        for which in ("with", "without")
    ]
    absolutes.append(Figure("the disk: fdatasync of 4 KiB", _syncing(), "ms"))
    return Section("access", "Who may do what", _METHOD, tuple(figures), tuple(absolutes))


@contextlib.contextmanager
def _both(bench: Bench, *, every_event_waits: bool) -> Iterator["_Both"]:
    program = (sys.executable, "-m", "benchmarks.unguarded_server")
    unguarded = ServerSpec("without the guard", program, "/readyz", "/v1/recognize")
    before = dict(os.environ)
    if every_event_waits:
        os.environ["ZHUZHEN_AUDIT_SYNC_WITHIN_MS"] = "0"
    try:
        with Server(zhuzhen_spec()) as service, Server(unguarded) as other:
            yield _Both({"with": _client(service), "without": _client(other)}, bench.key)
    finally:
        os.environ.clear()
        os.environ.update(before)


def _client(server: Server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)


@dataclass(frozen=True, slots=True)
class _Both:
    """The connections to the service with its guard and to the one without."""

    connections: Mapping[str, http.client.HTTPConnection]
    key: str

    def pairs(self, asked: _Request) -> dict[str, float]:
        """Return the medians of a round, in milliseconds: added, with and without."""
        times: dict[str, list[float]] = {"with": [], "without": []}
        for number in range(asked.pairs + 2):
            for which in ("with", "without") if number % 2 else ("without", "with"):
                taken = self._seconds(which, asked)
                # The first of each allocate and import.
                if number > 1:
                    times[which].append(taken)
        added = [a - b for a, b in zip(times["with"], times["without"], strict=True)]
        return {
            which: statistics.median(values) * 1e3
            for which, values in {**times, "added": added}.items()
        }

    def _seconds(self, which: str, asked: _Request) -> float:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": asked.content_type}
        connection = self.connections[which]
        started = time.perf_counter()
        connection.request(asked.method, asked.path, asked.body, headers)
        answer = connection.getresponse()
        answer.read()
        taken = time.perf_counter() - started
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{asked.name} was answered {answer.status}")
        return taken


def _rounds(
    both: _Both, asked: tuple[_Request, ...], rounds: int
) -> dict[tuple[str, str], list[float]]:
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for one in asked:
            for which, value in both.pairs(one).items():
                found.setdefault((one.name, which), []).append(value)
    return found


def _syncing() -> Spread:
    with tempfile.TemporaryFile() as file:

        def sync() -> None:
            os.pwrite(file.fileno(), os.urandom(4096), 0)
            os.fdatasync(file.fileno())

        turn = seconds_each(sync, 20)
        return Spread.of([turn() * 1e3 for _ in range(5)])
