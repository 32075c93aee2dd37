"""Bodies of DICOMweb over slow lines and from senders who fall silent."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import httpx
import pytest
import uvicorn
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from pydicom.dataset import Dataset
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from serving.attached import AttachedService, attached_service
from serving.audit.opening import audit_engine
from serving.audit.queries import Criteria, find_events
from serving.doors.parts import TABLE
from serving.entrance import Entrance
from serving.privacy import open_keyring, pseudonym_of
from serving.settings import Settings
from serving.slow_bodies import going_on
from tests.guards import KEY, a_manned_post
from tests.instance_samples import file_of, instance
from tests.integration.serving.test_transfer import Connection, connected

STUDIES, ITEMS = "/dicom-web/studies", "/dicom-web/workitems"
RELATED = 'multipart/related; type="application/dicom"; boundary=b'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttachedService]:
    settings = {
        "ZHUZHEN_HOME": str(tmp_path_factory.mktemp("slow")),
        "ZHUZHEN_SLOW_BODY_PATIENCE_S": "1",
    }
    with mock.patch.dict(os.environ, settings), attached_service() as found:
        yield found


@contextlib.contextmanager
def begun(service: AttachedService, path: str, kind: str, body: bytes) -> Iterator[Connection]:
    """A connection on which a request has begun whose body is that long."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {service.key}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
    ]
    with connected(httpx.URL(service.url).port or 0) as connection:
        connection.send("\r\n".join([*lines, "", ""]).encode())
        yield connection


def parts(*instances: Dataset) -> bytes:
    head = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
    return b"\r\n".join([*(head + file_of(each) for each in instances), b"--b--"])


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (STUDIES, "application/dicom"),
        (STUDIES, RELATED),
        (ITEMS, "application/dicom+json"),
    ],
)
@pytest.mark.parametrize("sent", [0, 50])
def test_who_falls_silent_is_told_and_let_go(
    service: AttachedService, path: str, kind: str, sent: int
) -> None:
    body = parts(instance())
    with begun(service, path, kind, body) as connection:
        connection.send(body[:sent])
        assert connection.answer()[0] == 408
        assert connection.line() == b""


def test_who_trickles_is_let_go(service: AttachedService) -> None:
    body = parts(instance())
    with begun(service, STUDIES, RELATED, body) as connection:
        for place in range(0, 40, 10):
            connection.send(body[place : place + 10])
            time.sleep(0.3)
        assert connection.answer()[0] == 408


def test_a_slow_line_goes_on_for_as_long_as_it_takes(service: AttachedService) -> None:
    body = parts(instance())
    with begun(service, STUDIES, RELATED, body) as connection:
        began = time.monotonic()
        for place in range(0, len(body), 120):
            connection.send(body[place : place + 120])
            time.sleep(0.4)
        assert time.monotonic() - began > 3
        assert connection.answer()[0] == 200


def test_what_came_before_a_body_broke_off_is_kept_and_on_record(service: AttachedService) -> None:
    first = instance(PatientID="BROKEN-OFF-1")
    body = parts(first, instance())
    with begun(service, STUDIES, RELATED, body) as connection:
        connection.send(body[: len(parts(first)) + 20])
        assert connection.answer()[0] == 408
    with httpx.Client(base_url=service.url, headers=service.headers, trust_env=False) as client:
        found = client.get(f"{STUDIES}/{first.StudyInstanceUID}/metadata")
    assert found.status_code == 200
    home = Path(os.environ["ZHUZHEN_HOME"])
    patient = pseudonym_of(open_keyring(home), "local", "BROKEN-OFF-1")
    with audit_engine() as engine, engine.connect() as connection_:
        operations = [each.operation for each in find_events(connection_, Criteria(patient))]
    assert f"POST:{STUDIES}" in operations


def test_it_may_take_longer_than_the_server_waits_for_an_answer() -> None:
    """BentoML's own bound is for work that hangs; here it is half a second."""

    async def store(request: Request) -> Response:
        settings = Settings(slow_body_patience_s=0.2)
        count = len(b"".join([piece async for piece in going_on(request, settings)]))
        return PlainTextResponse(str(count))

    inner = Starlette(routes=[Route(STUDIES, store, methods=["POST"])])
    with a_manned_post() as post, socket.create_server(("127.0.0.1", 0)) as listener:
        app = Entrance(TimeoutMiddleware(inner, timeout=0.5), TABLE, post)
        config = uvicorn.Config(app, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        with connected(listener.getsockname()[1]) as connection:
            lines = [f"POST {STUDIES} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {KEY}"]
            connection.send("\r\n".join([*lines, "Content-Length: 1000", "", ""]).encode())
            for _ in range(10):
                connection.send(bytes(100))
                time.sleep(0.12)
            assert connection.answer() == (200, "1000")
        server.should_exit = True
        thread.join(30)
