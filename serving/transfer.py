"""How a body's bytes come in."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import httptools
from starlette.requests import ClientDisconnect, Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

_EXTENSION = "zhuzhen.fill"
"""Key among the extensions of an ASGI scope."""
MOST_HEAD_BYTES = 64 * 1024
"""Of a request's line and headers together, and of its trailers."""

Fill = Callable[[memoryview, float], Awaitable[None]]
"""Fills a buffer, as long as the body's declared length, with the body; waits for the next bytes
that many seconds at most.

Raises `TimeoutError` where they do not come, `ClientDisconnect` where the sender left.
"""


def offer_to_fill(request: Request) -> Fill | None:
    """Return what receives the body of `request` into a buffer, where its server offers that."""
    fill: Fill | None = request.scope.get("extensions", {}).get(_EXTENSION)
    return fill


class LargeBodyProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, which can receive a body into a buffer of the application's.

    A radiograph that is handed on as it comes is copied four times on its way from the socket (by
    the event loop, the parser, uvicorn and whoever joins the pieces), and the application is woken
    for each of dozens of pieces. A body of declared length needs no parsing: the socket can be read
    into the buffer, and the application be woken once.

    What uvicorn's has no bounds for takes neither memory nor connections from others here: headers
    without an end, and senders who begin a request and do not go on.
    """

    patience_s = 20.0
    """Seconds within which a connection must bring a request's line and headers, or the rest of a
    body that was answered already, however little at a time."""
    _held_bytes = 0
    """What the parser was given since it last gave something on."""
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a first request."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes of requests."""
        self._held_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            # A WebSocket's protocol has taken over, with bounds of its own.
            return
        # Before the first request there is none, whatever its type says.
        is_idle = self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]
        if self._held_bytes > MOST_HEAD_BYTES:
            if is_idle:
                self.transport.write(_TOO_LONG)
            self.transport.close()
        elif is_idle and self._patience is None and self.timeout_keep_alive_task is None:
            self._wait()

    def on_body(self, body: bytes) -> None:
        """Give on a piece of a body."""
        self._held_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._held_bytes = 0
        super().on_message_complete()

    def _should_upgrade(self) -> bool:
        """Whether it is a handshake (RFC 6455, section 4.1): the protocol of WebSockets would wait
        for ever for one from what is none.
        """
        names = {name for name, _ in self.headers}
        is_bare = not names & {b"content-length", b"transfer-encoding"}
        return self.scope["method"] == "GET" and is_bare and super()._should_upgrade()

    def _wait(self) -> None:
        self._patience = self.loop.call_later(self.patience_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def on_headers_complete(self) -> None:
        """Begin a request, and offer to fill a buffer where its body has a declared length."""
        self._held_bytes = 0
        self._stop_waiting()
        super().on_headers_complete()
        # Beside Transfer-Encoding the parser refuses it (RFC 9112, section 6.3).
        declared = any(name == b"content-length" for name, _ in self.headers)
        if declared and not self.parser.should_upgrade():
            self.scope["extensions"] = {_EXTENSION: partial(self._fill, self.cycle)}  # type: ignore[dict-item]

    async def _fill(self, cycle: RequestResponseCycle, buffer: memoryview, idle_s: float) -> None:
        async with asyncio.timeout(idle_s):
            message = await cycle.receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        # What came together with the headers: of a small body, all.
        received = len(message["body"])
        buffer[:received] = message["body"]
        if message["more_body"]:
            await self._fill_rest(cycle, buffer[received:], idle_s)

    async def _fill_rest(
        self, cycle: RequestResponseCycle, rest: memoryview, idle_s: float
    ) -> None:
        # The parser does not see the body and would go on waiting for it. Until a new one takes
        # over, an answer must be the connection's last.
        cycle.keep_alive, keep_alive = False, cycle.keep_alive
        filling = _Filling(self, rest)
        self.transport.set_protocol(filling)
        self.flow.resume_reading()
        try:
            await filling.finish(idle_s)
        finally:
            filling.release()
            self.transport.set_protocol(self)
        cycle.keep_alive = keep_alive
        self.parser = httptools.HttpRequestParser(self)
        self.on_message_complete()
        self.flow.resume_reading()


_TOO_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class _Filling(asyncio.BufferedProtocol):
    """Stands in for `http` on its connection while the rest of a body is received."""

    def __init__(self, http: LargeBodyProtocol, rest: memoryview) -> None:
        self._http = http
        self._rest = rest
        self._last_came = http.loop.time()
        self._ended = asyncio.Event()

    async def finish(self, idle_s: float) -> None:
        """Return when all has come.

        Raises:
            TimeoutError: nothing came for `idle_s` seconds.
            ClientDisconnect: the sender left.
        """
        while not self._ended.is_set():
            # Woken at the end alone: setting a timer anew for each piece costs more than the piece.
            try:
                async with asyncio.timeout_at(self._last_came + idle_s):
                    await self._ended.wait()
            except TimeoutError:
                if self._http.loop.time() >= self._last_came + idle_s:
                    raise
        if self._rest:
            raise ClientDisconnect

    def release(self) -> None:
        """Let go of the buffer: event loops may keep a protocol that was replaced."""
        self._rest = memoryview(b"")

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        return self._rest

    def buffer_updated(self, nbytes: int) -> None:
        """Note that `nbytes` more have come."""
        self._rest = self._rest[nbytes:]
        self._last_came = self._http.loop.time()
        if not self._rest:
            # What follows is the next request, and not for this protocol.
            self._http.flow.pause_reading()
            self._ended.set()

    def eof_received(self) -> None:
        """The sender sends no more."""
        self._http.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended before the body."""
        self._ended.set()
        self._http.connection_lost(exc)

    def pause_writing(self) -> None:
        """Answers are sent faster than they are taken."""
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """Answers are taken again."""
        self._http.resume_writing()
