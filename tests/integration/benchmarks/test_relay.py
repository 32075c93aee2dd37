"""The relay's clock, by which the time to the PACS is measured."""

import socket
import threading
import time

from benchmarks.relay import Relay


def answer_twice(listener: socket.socket, pause_s: float) -> None:
    node, _ = listener.accept()
    with node:
        for length in (4, 200_000):
            received = 0
            while received < length:
                received += len(node.recv(65_536))
            time.sleep(pause_s)
            node.sendall(b"y")
            time.sleep(pause_s)
            node.sendall(b"es")
        node.recv(1)


def test_it_knows_when_the_last_byte_before_each_answer_passed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        node = threading.Thread(target=answer_twice, args=(listener, 0.05))
        node.start()
        with Relay(listener.getsockname()[1]) as relay:
            with socket.create_connection(("127.0.0.1", relay.port)) as sender:
                begun = time.time()
                sender.sendall(b"open")
                assert sender.recv(3, socket.MSG_WAITALL) == b"yes"
                sender.sendall(bytes(200_000))
                assert sender.recv(3, socket.MSG_WAITALL) == b"yes"
            node.join()
        first, second = relay.exchanges()
    assert begun <= first.last_byte_at < first.answered_at < second.last_byte_at
    assert second.answered_at - second.last_byte_at >= 0.08
