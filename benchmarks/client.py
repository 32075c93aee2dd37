"""The benchmark's side of the client process."""

import json
import statistics
import subprocess
import sys
from dataclasses import asdict
from types import TracebackType

from benchmarks.load import AnswerError, Order, Receipt


class LoadClient:
    """A running `benchmarks.load`; a context manager."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "LoadClient":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def carry_out(self, order: Order) -> Receipt:
        """Have `order` carried out.

        Raises:
            AnswerError: an answer was not a success.
        """
        if self._process.stdin is None or self._process.stdout is None:
            raise AnswerError("the client process has no pipes")
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()
        reply = json.loads(self._process.stdout.readline() or '{"error": "the client ended"}')
        if "error" in reply:
            raise AnswerError(reply["error"])
        return Receipt(**reply)

    def median_latency_s(self, order: Order) -> float:
        """Return the median time from the first byte sent to the last byte received."""
        return statistics.median(self.carry_out(order).latencies_s)

    def images_per_s(self, order: Order) -> float:
        """Return how many images were answered a second."""
        receipt = self.carry_out(order)
        return len(receipt.latencies_s) / receipt.elapsed_s
