import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks.client import LoadClient
from benchmarks.load import AnswerError, Order


class Echo(BaseHTTPRequestHandler):
    """Answers a body with its length and type; 404 on other paths than /length."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = f"{len(body)} {self.headers['Content-Type']}".encode()
        self.send_response(200 if self.path == "/length" else 404)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_request(self, code: object = None, size: object = None) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def body_file(tmp_path: Path) -> str:
    file = tmp_path / "body"
    file.write_bytes(bytes(300_000))
    return str(file)


def test_every_client_posts_as_often_as_ordered(port: int, body_file: str) -> None:
    order = Order(port, "/length", body_file, "image/png", clients=3, requests=4)
    with LoadClient() as client:
        receipt = client.carry_out(order)
    assert len(receipt.latencies_s) == 12
    assert 0 < max(receipt.latencies_s) <= receipt.elapsed_s
    assert receipt.answer == "300000 image/png"


def test_posting_goes_on_for_as_long_as_ordered(port: int, body_file: str) -> None:
    with LoadClient() as client:
        receipt = client.carry_out(Order(port, "/length", body_file, "image/png", seconds=0.2))
    assert receipt.elapsed_s >= 0.2
    assert len(receipt.latencies_s) > 1


def test_anything_but_success_is_told_and_the_client_goes_on(port: int, body_file: str) -> None:
    with LoadClient() as client:
        with pytest.raises(AnswerError, match="404"):
            client.carry_out(Order(port, "/elsewhere", body_file, "image/png", requests=1))
        assert client.median_latency_s(Order(port, "/length", body_file, "x", requests=1)) > 0


def test_no_server_is_told(body_file: str) -> None:
    order = {"port": 1, "path": "/", "body_file": body_file, "content_type": "x", "requests": 1}
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "refused" in json.loads(run.stdout)["error"]
