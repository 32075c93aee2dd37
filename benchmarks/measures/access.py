"""What authentication, policy and the audit record together add to a request."""

import http.client
import statistics
import sys
import time

from benchmarks.bench import Bench
from benchmarks.figures import Bound, Figure, Section, Target
from benchmarks.rounds import Contender, Spread, take_turns
from benchmarks.servers import Server, ServerSpec, zhuzhen_spec

_REQUESTS = 150
_PATH = "/v1/session"
_GUARDED, _UNGUARDED = "with", "without"
_MOST_ADDED = Target(Bound.AT_MOST, 1.0)
_METHOD = (
    "One client asks GET /v1/session again and again over one connection: a route that does "
    "nothing but answer, so that what stands around it shows. The request carries a key; it is "
    "verified (from memory after the first), the policy decides twice, and the event of it is on "
    "disk, with its place in a chain of hashes, before the answer is sent. Beside it the same "
    "service without its guard, in turns. On SQLite.",
)


def measure(bench: Bench) -> Section:
    """Measure what the guard adds to a request."""
    program = (sys.executable, "-m", "benchmarks.unguarded_server")
    unguarded = ServerSpec("without the guard", program, "/readyz", _PATH)
    with Server(zhuzhen_spec()) as service, Server(unguarded) as other:
        turns = {
            _GUARDED: _turn(service, bench.key),
            _UNGUARDED: _turn(other, bench.key),
        }
        found = take_turns(turns, bench.effort.rounds)
    pairs = zip(found[_GUARDED], found[_UNGUARDED], strict=True)
    added = Spread.of([above - below for above, below in pairs])
    figures = (
        Figure("added to a request by authentication, policy and audit", added, "ms", _MOST_ADDED),
    )
    absolutes = tuple(
        Figure(f"GET {_PATH}, {name} the guard", Spread.of(values), "ms")
        for name, values in found.items()
    )
    return Section("access", "Who may do what", _METHOD, figures, absolutes)


def _turn(server: Server, key: str) -> Contender:
    """Return a contender: the median of some requests in ms."""

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
        return statistics.median(times) * 1e3

    return turn
