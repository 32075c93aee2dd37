"""A worker in a process of its own: `python -m tests.node_worker HOME DATABASE MOMENT`.

It waits at MOMENT (`reading`, `sending` or `never`) with the work of that moment done and not yet
recorded, tells so on standard output, and stays there to be killed. It ends with standard input.
"""

import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from serving.destinations import destination_of
from serving.jobs.delivering import Sender
from serving.jobs.reading import Kept
from serving.jobs.worker import Worker, WorkerBusyError
from tests.node_bench import Bench

DEAD_AFTER_S = 3.0


def _wait_at(moment: str) -> None:
    sys.stdout.write(f"{moment}\n")
    sys.stdout.flush()
    time.sleep(600)


class _Sending:
    """Sends, and then does not return."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def send(self, files: Sequence[bytes]) -> None:
        self._sender.send(files)
        _wait_at("sending")


def _worker(bench: Bench, moment: str) -> Worker:
    read = bench.reader.read

    def reading(job_id: str) -> Kept:
        kept = read(job_id)
        _wait_at("reading")
        return kept

    if moment == "reading":
        bench.reader.read = reading  # type: ignore[method-assign]
    sender: Sender = destination_of({"to": "folder:out"}, bench.home)
    if moment == "sending":
        sender = _Sending(sender)
    return bench.worker(senders={"pacs": sender}, dead_after_s=DEAD_AFTER_S)


def main() -> None:
    """Work until standard input ends."""
    home, url, moment = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    over = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    with closing(Bench(home, url)) as bench:
        worker = _worker(bench, moment)
        while not over.is_set():
            try:
                with worker:
                    sys.stdout.write("working\n")
                    sys.stdout.flush()
                    over.wait()
            except WorkerBusyError:
                # On SQLite one works and the others stand by.
                over.wait(0.3)


if __name__ == "__main__":
    main()
