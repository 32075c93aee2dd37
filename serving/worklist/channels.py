"""The connections of this process on which subscribers listen for event reports (PS3.18 8.10).

Reports come from the records, whichever process wrote them: what waits for a subscriber is looked
for a few times a second, sent in order and taken out once it was handed to the connection. In
memory there are never more than a few reports of one listener, however slow that is.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Any, Protocol
from uuid import uuid4

from sqlalchemy import Connection, Engine, select
from starlette.websockets import WebSocketDisconnect

from serving.answers import write_json
from serving.faults import place_of
from serving.privacy import Keyring
from serving.problems import Problem
from serving.records import writing
from serving.worklist.subscriptions import Mailbox, report_restart
from serving.worklist.tables import CHANNELS, EVENTS

_LOG = logging.getLogger("zhuzhen.worklist")
MOST_CHANNELS = 256
"""Of one process."""
MOST_OF_INSTITUTION = 64
_LOOK_S = 0.25
_AT_ONCE = 64
PATIENCE_S = 30.0
"""Seconds that one report may take to be handed to the connection."""
_CHECK_S = 5.0
"""How often it is asked whether the listener may still listen: how late a revoked credential ends
its connection."""
Key = tuple[str, str]
"""Institution and AE title."""


class Ended(Enum):
    """Why a connection was closed, with the status code of its end (RFC 6455 section 7.4)."""

    LEFT = ("listener_left", 1000)
    SPOKE = ("listener_spoke", 1003)
    """It sent something; on this connection only the service speaks."""
    REFUSED = ("credential_refused", 1008)
    """Its credential is not valid any more."""
    FAILED = ("failed", 1011)
    TOO_SLOW = ("listener_too_slow", 1013)
    TAKEN_OVER = ("taken_over", 4000)
    """A newer connection listens for the same AE title."""

    def __init__(self, reason: str, code: int) -> None:
        self.reason = reason
        self.code = code


class Line(Protocol):
    """A connection that was accepted."""

    async def send_text(self, data: str) -> None:
        """Hand a message on; waits as long as the peer does not read."""

    async def receive(self) -> Any:
        """Return the next thing that the peer did."""


@dataclass(slots=True)
class Channel:
    """One listener's place."""

    key: Key
    id: str = field(default_factory=lambda: uuid4().hex)
    has_mail: asyncio.Event = field(default_factory=asyncio.Event)
    number: int = 0
    """Of the last message."""
    is_mine: bool = True
    """Whether no newer connection has taken over."""


class Channels:
    """What is open in this process, and the one task that looks for mail for all of it."""

    def __init__(
        self,
        engine: Engine,
        keyring: Keyring,
        *,
        check_s: float = _CHECK_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._engine = engine
        self._keyring = keyring
        self._check_s = check_s
        self._patience_s = patience_s
        self._open: dict[str, Channel] = {}
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Have subscribers told that the service was started anew (PS3.4 CC.2.4.3)."""
        await self._write(lambda connection: report_restart(connection, self._keyring))

    async def close(self) -> None:
        """Look for mail no more; connections have been closed before."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    @contextmanager
    def place(self, key: Key) -> Iterator[Channel]:
        """Give one more listener a place.

        Raises:
            Problem: 503, there is none left.
        """
        theirs = sum(1 for each in self._open.values() if each.key[0] == key[0])
        if len(self._open) >= MOST_CHANNELS or theirs >= MOST_OF_INSTITUTION:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"There are {theirs} listeners of your institution and {len(self._open)} in all; "
                f"at most {MOST_OF_INSTITUTION} and {MOST_CHANNELS} may be. Close one, or come "
                "back later.",
                {"Retry-After": "60"},
            )
        channel = Channel(key)
        self._open[channel.id] = channel
        try:
            yield channel
        finally:
            del self._open[channel.id]

    async def serve(
        self, line: Line, channel: Channel, may_stay: Callable[[], Awaitable[bool]]
    ) -> Ended:
        """Send on `line` what waits for a subscriber, until it ends; return why it did."""
        await self._write(lambda connection: _box(connection, channel).listen(channel.id))
        channel.has_mail.set()
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        parts = (
            asyncio.create_task(_until_left(line)),
            asyncio.create_task(self._send(line, channel)),
            asyncio.create_task(self._while_allowed(may_stay)),
        )
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            return await next(each for each in parts if each in done)
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            await self._write(lambda connection: _box(connection, channel).leave(channel.id))

    async def _send(self, line: Line, channel: Channel) -> Ended:
        try:
            while channel.is_mine:
                await channel.has_mail.wait()
                channel.has_mail.clear()
                while await self._send_some(line, channel) == _AT_ONCE:
                    pass
        except TimeoutError:
            return Ended.TOO_SLOW
        except WebSocketDisconnect:
            return Ended.LEFT
        return Ended.TAKEN_OVER

    async def _while_allowed(self, may_stay: Callable[[], Awaitable[bool]]) -> Ended:
        while True:
            await asyncio.sleep(self._check_s)
            if not await may_stay():
                return Ended.REFUSED

    async def _send_some(self, line: Line, channel: Channel) -> int:
        """Send the oldest reports; return how many there were."""

        def read() -> list[tuple[int, Any]]:
            with self._engine.connect() as connection:
                box = _box(connection, channel)
                channel.is_mine = box.holds(channel.id)
                return box.waiting(self._keyring, _AT_ONCE) if channel.is_mine else []

        waiting = await asyncio.to_thread(read)
        sent: list[int] = []
        try:
            for row, report in waiting:
                channel.number = channel.number % 0xFFFF + 1
                message = write_json(report.message(channel.number))
                async with asyncio.timeout(self._patience_s):
                    await line.send_text(message)
                sent.append(row)
        finally:
            if sent:
                await self._write(lambda connection: _box(connection, channel).sent(sent))
        return len(waiting)

    async def _look(self) -> None:
        """Wake those who have mail, or whose place another connection has taken."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if not self._open:
                continue
            try:
                mail, holders = await asyncio.to_thread(self._state)
            except Exception as error:  # noqa: BLE001 - a database that is away comes back
                _LOG.warning("event reports wait: %s", place_of(error))
                continue
            for channel in list(self._open.values()):
                # Whether it is so is looked up once more: one may have been opened meanwhile.
                if channel.key in mail or holders.get(channel.key) != channel.id:
                    channel.has_mail.set()

    def _state(self) -> tuple[set[Key], dict[Key, str]]:
        with self._engine.connect() as connection:
            mail = connection.execute(
                select(EVENTS.c.institution, EVENTS.c.subscriber).distinct()
            ).all()
            held = connection.execute(select(CHANNELS)).all()
        return (
            {(row.institution, row.subscriber) for row in mail},
            {(row.institution, row.subscriber): row.channel for row in held},
        )

    async def _write(self, write: Callable[[Connection], None]) -> None:
        def run() -> None:
            with writing(self._engine) as connection:
                write(connection)

        await asyncio.to_thread(run)


def _box(connection: Connection, channel: Channel) -> Mailbox:
    return Mailbox(connection, *channel.key)


async def _until_left(line: Line) -> Ended:
    message = await line.receive()
    return Ended.LEFT if message["type"] == "websocket.disconnect" else Ended.SPOKE
