"""A process that receives for the service: `python -m serving.node.acceptor DESCRIPTOR`.

It serves the connections that the service accepted and handed over: what they bring it
checks, encrypts and indexes with an interpreter of its own. Whether somebody may open an
association it asks the service, which has policy and audit record. It ends with the service.
"""

import contextlib
import gc
import itertools
import logging
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from models.errors import ZhuzhenError
from serving import tracing
from serving.archive import Archive, Durability, Origin
from serving.archive.header import Attributes
from serving.audit import AuditUnavailableError
from serving.dimse.connections import Connections
from serving.faults import place_of
from serving.logs import configure_logs
from serving.node.line import Line, Message, Word
from serving.node.storing import Storing
from serving.objects import open_objects
from serving.privacy import open_keyring
from serving.records import database_url, open_engine
from serving.routing import Source, read_node

_LOG = logging.getLogger("zhuzhen.node")
_ANSWER_S = 40.0
"""Longer than the service waits for its audit record."""
_COUNT_S = 1.0
"""Seconds between two reports of how much came."""


class Service:
    """The service, as a process that receives for it sees it."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._numbers = itertools.count()
        self._questions: dict[int, Future[bool | None]] = {}
        self._counted: Counter[tuple[str, str]] = Counter()
        self._counting = threading.Lock()
        self._reported_at = time.monotonic()

    def admit(self, source: Source, address: str) -> bool:
        """Whether `source` may open an association and store instances.

        Raises:
            AuditUnavailableError: it cannot be recorded.
        """
        return self._ask(Word.ADMIT, source=source.name, address=address)

    def set_apart(self, origin: Origin, why: str, said: Attributes) -> None:
        """Have it recorded that something from `origin` goes into quarantine.

        Raises:
            AuditUnavailableError: it cannot be recorded.
        """
        where = {"institution": origin.institution, "source": origin.source}
        self._ask(Word.SET_APART, **where, why=why, said=said)

    def _ask(self, word: Word, **said: object) -> bool:
        question, answer = next(self._numbers), Future[bool | None]()
        self._questions[question] = answer
        try:
            self._line.send(word, None, question=question, **said)
            allowed = answer.result(_ANSWER_S)
        except (OSError, TimeoutError):
            allowed = None
        finally:
            self._questions.pop(question, None)
        if allowed is None:
            raise AuditUnavailableError("The service does not record it now. Try again later.")
        return allowed

    def turn_away(self, address: str, why: str) -> None:
        """Have it recorded that somebody was rejected."""
        self._say(Word.TURNED_AWAY, address=address, why=why)

    def wake(self) -> None:
        """Have the worker look for complete studies."""
        self._report()
        self._say(Word.WAKE)

    def count(self, way: str, outcome: str) -> None:
        """Count an instance."""
        with self._counting:
            self._counted[way, outcome] += 1
            is_due = time.monotonic() - self._reported_at >= _COUNT_S
        if is_due:
            self._report()

    def ready(self) -> None:
        """Tell that connections can be served."""
        self._say(Word.READY)

    def ended(self, number: int) -> None:
        """Tell that a connection has ended."""
        self._report()
        self._say(Word.ENDED, number=number)

    def take_answer(self, message: Message) -> None:
        """Hand an answer to who asked."""
        asked = self._questions.get(message["question"])
        if asked is not None:
            asked.set_result(message["allowed"])

    def _report(self) -> None:
        with self._counting:
            counted, self._counted = self._counted, Counter()
            self._reported_at = time.monotonic()
        for (way, outcome), count in counted.items():
            self._say(Word.COUNTED, way=way, outcome=outcome, count=count)

    def _say(self, word: Word, **said: object) -> None:
        # If the service is gone, so is this process in a moment.
        with contextlib.suppress(OSError):
            self._line.send(word, None, **said)


def serve(line: Line) -> None:
    """Serve what the service hands over, until it closes the line."""
    node = read_node()
    service = Service(line)
    with _archive(node.durability, service) as archive, tracing.exporting():

        def wake() -> None:
            # Whoever looks now would wait for it.
            _settle(archive)
            service.wake()

        handler = Storing(archive, service, node, wake, service.count, all_here=service.wake)
        connections = Connections(node.listener, handler)
        # What is in memory now stays until the end.
        gc.collect()
        gc.freeze()
        service.ready()
        for message, passed in line.messages():
            if message["word"] == Word.SERVE:
                ended = partial(service.ended, message["number"])
                connections.serve(passed.take(), ended)
            elif message["word"] == Word.ANSWER:
                service.take_answer(message)
        connections.end()


@contextlib.contextmanager
def _archive(durability: Durability, service: Service) -> Iterator[Archive]:
    keyring = open_keyring()
    engine = open_engine(database_url())
    archive = Archive(
        engine,
        open_objects(keyring=keyring),
        keyring,
        durability=durability,
        tell_apart=service.set_apart,
    )
    try:
        yield archive
    finally:
        archive.close()
        engine.dispose()


def _settle(archive: Archive) -> None:
    try:
        archive.settle_own()
    except (OSError, SQLAlchemyError, ZhuzhenError) as error:
        _LOG.error("What came is kept, and cannot be indexed now: %s", place_of(error))


def main() -> None:
    """Serve on the socket whose descriptor is the argument."""
    # Whoever stops the service stops all its processes; the service ends this one in its time.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    configure_logs()
    try:
        serve(Line(socket.socket(fileno=int(sys.argv[1]))))
    except ZhuzhenError as error:
        _LOG.error("A process cannot receive: %s", error)
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the disk may be full, the database away
        _LOG.error("A process cannot receive: %s", place_of(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
