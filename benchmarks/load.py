"""The client: a process of its own that posts bodies and says how long the answers took.

It must cost little, since it shares the processor with what it measures: blocking sockets, one
thread for each concurrent client, connections kept open, no more of HTTP/1.1 than is needed.

Run by `benchmarks.client`, with one JSON object a line on standard input and output.
"""

import json
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_RECEIVE_BYTES = 65_536
_ANSWER_WITHIN_S = 120.0


class AnswerError(Exception):
    """A server answered with something other than a success."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be posted, how often and by how many at the same time."""

    port: int
    path: str
    body_file: str
    content_type: str
    key: str | None = None
    """Credential that the server asks for."""
    clients: int = 1
    requests: int | None = None
    """Requests of each client; or, where it is None, as many as can be begun in `seconds`."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came of an order."""

    latencies_s: list[float]
    elapsed_s: float
    answer: str
    """The last answer's body."""


class Connection:
    """One connection to a local server, kept open."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _ANSWER_WITHIN_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchange(self, request: bytes) -> bytes:
        """Send `request` and return the body of the answer.

        Raises:
            AnswerError: the answer is not a success, or of a form that is not read here.
        """
        self._socket.sendall(request)
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._receive()
        length = _body_length(bytes(received[:end]))
        while len(received) < end + 4 + length:
            received += self._receive()
        return bytes(received[end + 4 :])

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _receive(self) -> bytes:
        chunk = self._socket.recv(_RECEIVE_BYTES)
        if not chunk:
            raise AnswerError("the server closed the connection before its answer was complete")
        return chunk


def _body_length(head: bytes) -> int:
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(":", 1) for line in lines)
    if status.split(" ")[1] != "200" or "content-length" not in headers:
        raise AnswerError(f"expected 200 with a Content-Length, found: {head.decode('latin-1')}")
    return int(headers["content-length"])


def carry_out(order: Order) -> Receipt:
    """Post what `order` says and return what came of it.

    Raises:
        AnswerError: an answer was not a success.
    """
    request = _request(order)
    connections = [Connection(order.port) for _ in range(order.clients)]
    clients = [_Client(connection, request, order) for connection in connections]
    started = time.perf_counter()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    elapsed_s = time.perf_counter() - started
    for connection in connections:
        connection.close()
    for client in clients:
        if client.failure is not None:
            raise AnswerError(str(client.failure))
    latencies_s = [latency for client in clients for latency in client.latencies_s]
    return Receipt(latencies_s, elapsed_s, clients[0].answer.decode())


def _request(order: Order) -> bytes:
    body = Path(order.body_file).read_bytes()
    head = (
        f"POST {order.path} HTTP/1.1\r\nHost: 127.0.0.1:{order.port}\r\n"
        f"Content-Type: {order.content_type}\r\nContent-Length: {len(body)}\r\n"
    )
    if order.key is not None:
        head += f"Authorization: Bearer {order.key}\r\n"
    return head.encode() + b"\r\n" + body


class _Client(threading.Thread):
    """Posts one request after another."""

    def __init__(self, connection: Connection, request: bytes, order: Order) -> None:
        super().__init__(daemon=True)
        self._connection = connection
        self._request = request
        self._order = order
        self.latencies_s: list[float] = []
        self.answer = b""
        self.failure: Exception | None = None

    def run(self) -> None:
        deadline = time.perf_counter() + self._order.seconds
        try:
            while self._goes_on(deadline):
                started = time.perf_counter()
                self.answer = self._connection.exchange(self._request)
                self.latencies_s.append(time.perf_counter() - started)
        except (AnswerError, OSError) as error:
            self.failure = error

    def _goes_on(self, deadline: float) -> bool:
        if self._order.requests is not None:
            return len(self.latencies_s) < self._order.requests
        return not self.latencies_s or time.perf_counter() < deadline


def main() -> None:
    """Carry out the orders on standard input until it ends."""
    for line in sys.stdin:
        reply: dict[str, Any]
        try:
            reply = asdict(carry_out(Order(**json.loads(line))))
        except (AnswerError, OSError) as error:
            reply = {"error": str(error)}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
