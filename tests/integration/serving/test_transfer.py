"""Bodies over real connections: whole, cut, slow, left, and followed by the next request."""

import asyncio
import contextlib
import hashlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from websockets.sync.client import connect

from serving.problems import Problem
from serving.settings import Settings
from serving.transfer import MOST_HEAD_BYTES, LargeBodyProtocol, offer_to_fill
from serving.uploads import receive

SETTINGS = Settings(max_body_bytes=4_000_000, body_idle_timeout_s=0.4, body_timeout_s=2.0)
LARGE = bytes(range(256)) * 8_000


class Impatient(LargeBodyProtocol):
    patience_s = 0.8


async def digest_of_body(scope: Scope, receiving: Receive, send: Send) -> None:
    """Answer with the digest of the body, and whether it was received into a buffer."""
    if scope["type"] == "websocket":
        await speak_late(receiving, send)
        return
    request = Request(scope, receiving)
    headers = []
    try:
        (upload,) = await receive(request, SETTINGS)
        status, told = 200, hashlib.sha256(upload.data).hexdigest()
    except Problem as problem:
        status, told = problem.status, str(problem)
        headers = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
    told += " filled" if offer_to_fill(request) else " joined"
    headers.append((b"content-length", str(len(told)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": told.encode()})


async def speak_late(receiving: Receive, send: Send) -> None:
    """Say something on a WebSocket, after longer than a request may take to begin."""
    await receiving()
    await send({"type": "websocket.accept"})
    await asyncio.sleep(2 * Impatient.patience_s)
    await send({"type": "websocket.send", "text": "still here"})


@pytest.fixture(params=["asyncio", "uvloop"], scope="module")
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    config = uvicorn.Config(
        digest_of_body,
        http=Impatient,
        ws="websockets-sansio",
        loop=request.param,
        lifespan="off",
        log_config=None,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(30)
    assert not thread.is_alive()


class Connection:
    """One sender's connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 30)
        self._answers = self._socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def line(self) -> bytes:
        return self._answers.readline()

    def answer(self) -> tuple[int, str]:
        """Return status and body of the next answer."""
        status, length = int(self.line().split()[1]), 0
        for line in iter(self.line, b"\r\n"):
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        return status, self._answers.read(length).decode()

    def close(self) -> None:
        self._answers.close()
        self._socket.close()


@contextlib.contextmanager
def connected(port: int) -> Iterator[Connection]:
    with contextlib.closing(Connection(port)) as connection:
        yield connection


def head(length: int, *more: str) -> bytes:
    lines = ["POST / HTTP/1.1", "Host: localhost", f"Content-Length: {length}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("size", [1, 70_000, 300_000, len(LARGE)])
def test_a_body_is_received_as_it_was_sent(port: int, size: int) -> None:
    with connected(port) as connection:
        for _ in range(3):
            connection.send(head(size) + LARGE[:size])

            assert connection.answer() == (200, f"{digest(LARGE[:size])} filled")


def test_pieces_of_any_size_make_the_same_body(port: int) -> None:
    with connected(port) as connection:
        connection.send(head(len(LARGE)))
        sent = 0
        for size in (1, 100, 65_536, 3, 500_000, 70_001, len(LARGE)):
            connection.send(LARGE[sent : sent + size])
            sent += size
            time.sleep(0.02)

        assert connection.answer() == (200, f"{digest(LARGE)} filled")


def test_a_body_in_chunks_is_joined(port: int) -> None:
    pieces = b"".join(b"186a0\r\n" + LARGE[at : at + 100_000] + b"\r\n" for at in (0, 100_000))
    request = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected(port) as connection:
        connection.send(request + pieces + b"0\r\n\r\n")

        assert connection.answer() == (200, f"{digest(LARGE[:200_000])} joined")


@pytest.mark.parametrize("size", [1_000, len(LARGE)])
def test_what_follows_a_body_is_the_next_request(port: int, size: int) -> None:
    with connected(port) as connection:
        for count in range(3):
            connection.send(head(size) + LARGE[:size] + head(count + 1) + LARGE[: count + 1])

            assert connection.answer()[1].startswith(digest(LARGE[:size]))
            assert connection.answer()[1].startswith(digest(LARGE[: count + 1]))


def test_a_sender_is_told_to_go_on_who_asks(port: int) -> None:
    with connected(port) as connection:
        connection.send(head(len(LARGE), "Expect: 100-continue"))
        assert connection.line() + connection.line() == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(LARGE)

        assert connection.answer()[1].startswith(digest(LARGE))


def test_a_connection_that_is_to_be_closed_is_closed(port: int) -> None:
    with connected(port) as connection:
        connection.send(head(len(LARGE), "Connection: close") + LARGE)

        assert connection.answer()[0] == 200
        assert connection.line() == b""


@pytest.mark.parametrize("sent", [0, 10, 300_000])
def test_a_body_that_pauses_is_given_up_with_its_connection(port: int, sent: int) -> None:
    with connected(port) as connection:
        started = time.monotonic()
        connection.send(head(len(LARGE)) + LARGE[:sent])
        status, told = connection.answer()

        assert (status, "paused for 0.4 s" in told) == (408, True)
        assert 0.3 < time.monotonic() - started < 10
        # What comes late must not be taken for a request.
        with contextlib.suppress(OSError):
            connection.send(head(1) + b"x")
            assert connection.line() == b""


def test_a_body_that_trickles_has_an_end(port: int) -> None:
    with connected(port) as connection:
        connection.send(head(len(LARGE)))
        started = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - started < 3:
                connection.send(b"x" * 100)
                time.sleep(0.1)

        assert connection.answer()[0] == 408


def test_a_body_over_the_limit_is_refused_unread(port: int) -> None:
    with connected(port) as connection:
        connection.send(head(SETTINGS.max_body_bytes + 1))

        assert connection.answer()[0] == 413


@pytest.mark.parametrize("sent", [0, 10, 300_000])
def test_a_sender_may_leave_at_any_moment(port: int, sent: int) -> None:
    for _ in range(5):
        with connected(port) as connection:
            connection.send(head(len(LARGE)) + LARGE[:sent])

    with connected(port) as connection:
        connection.send(head(3) + b"abc")
        assert connection.answer() == (200, f"{digest(b'abc')} filled")


def test_many_bodies_come_in_side_by_side(port: int) -> None:
    async def post(size: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head(size, "Connection: close") + LARGE[:size])
        await writer.drain()
        told = await reader.read()
        writer.close()
        return told

    async def post_all() -> list[bytes]:
        return await asyncio.gather(*(post(1_000_000 + count) for count in range(12)))

    for count, told in enumerate(asyncio.run(post_all())):
        assert digest(LARGE[: 1_000_000 + count]).encode() in told


LONG = b"a" * (MOST_HEAD_BYTES + 1)


def last_words(connection: Connection) -> bytes:
    """What comes until the service closes the connection."""
    return b"".join(iter(connection.line, b""))


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"GET /" + LONG, id="a path"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + LONG, id="a value"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 11_000, id="many headers"),
    ],
)
def test_a_head_without_an_end_is_refused(port: int, begun: bytes) -> None:
    with connected(port) as connection:
        connection.send(begun)

        assert last_words(connection).startswith(b"HTTP/1.1 431 ")


def test_trailers_without_an_end_are_not_kept(port: int) -> None:
    request = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected(port) as connection:
        connection.send(request + b"3\r\nabc\r\n0\r\nX: ")
        connection.send(LONG)

        assert not last_words(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("requests", "begun"),
    [
        pytest.param([], b"", id="nothing"),
        pytest.param([], b"POST / HTTP/1.1\r\nHost: local", id="half a head"),
        pytest.param([head(1) + b"a"], b"\r\n", id="an empty line after a request"),
        pytest.param([head(1) + b"a"], b"POST /", id="half a head after a request"),
        pytest.param([head(10**6, "Content-Encoding: x")], b"x", id="a body after its answer"),
    ],
)
def test_who_does_not_go_on_is_left(port: int, requests: list[bytes], begun: bytes) -> None:
    with connected(port) as connection:
        for request in requests:
            connection.send(request)
            connection.answer()
        started = time.monotonic()
        connection.send(begun)
        trickle = threading.Thread(target=_trickle, args=(connection, begun[-1:]))
        trickle.start()

        with contextlib.suppress(ConnectionError):
            assert last_words(connection) == b""
        # uvicorn would leave one that only keeps alive after 5 s, and the others never.
        assert time.monotonic() - started < 4
        trickle.join()


def _trickle(connection: Connection, byte: bytes) -> None:
    """Send a little now and then, which is not going on."""
    with contextlib.suppress(OSError):
        for _ in range(12):
            time.sleep(0.3)
            connection.send(byte)


def test_a_websocket_may_be_silent(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/", proxy=None) as websocket:
        assert websocket.recv(10) == "still here"


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_what_is_no_handshake_is_a_request(port: int, method: str) -> None:
    lines = head(3, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    with connected(port) as connection:
        connection.send(lines.replace(b"POST", method.encode()))

        # Its body is not read: what follows an upgrade is another protocol's.
        assert connection.answer()[0] == 400


def test_an_answer_may_take_its_time_while_the_next_request_begins(port: int) -> None:
    with connected(port) as connection:
        connection.send(head(3) + b"ab")
        time.sleep(0.3)
        connection.send(b"c" + head(2)[:30])

        assert connection.answer() == (200, f"{digest(b'abc')} filled")
        connection.send(head(2)[30:] + b"de")
        assert connection.answer() == (200, f"{digest(b'de')} filled")
