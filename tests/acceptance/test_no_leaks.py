"""Identifiable data through every door; none of it in logs, metrics, errors, exports or on disk."""

import base64
import io
import json
import socket
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from serving.attached import attached_service
from serving.cli.app import app
from serving.doors.parts import ROUTES
from serving.doors.route import Route
from serving.identity.local import passing_key
from serving.policy import Role
from serving.tracing import Attribute
from tests.dicom_samples import radiograph_file, ramp
from tests.identifiers import ACCESSION, BIRTH, CHINESE, LATIN, NUMBER, leaks, leaks_under
from tests.trace_collector import Collector, attributes_of, collecting


@dataclass
class Doors:
    """A running service, and where it may have left something."""

    client: httpx.Client
    url: str
    home: Path
    log: Path
    scratch: Path
    traces: Collector


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    folder = tmp_path_factory.mktemp("leaks")
    home, scratch, log = folder / "home", folder / "tmp", folder / "log"
    scratch.mkdir()
    with pytest.MonkeyPatch.context() as environment, log.open("wb") as file:
        environment.setenv("ZHUZHEN_HOME", str(home))
        with (
            collecting() as traces,
            attached_service(
                settings={"TMPDIR": str(scratch), **traces.settings}, log=file.fileno()
            ) as service,
            passing_key(*Role) as key,
            httpx.Client(base_url=service.url, timeout=60, trust_env=False) as client,
        ):
            client.headers["Authorization"] = f"Bearer {key}"
            yield Doors(client, service.url, home, log, scratch, traces)


def dicom() -> bytes:
    return radiograph_file(
        ramp(),
        SpecificCharacterSet="GB18030",
        PatientName=f"{LATIN}={CHINESE}",
        PatientID=NUMBER,
        PatientBirthDate=BIRTH,
        AccessionNumber=ACCESSION,
        # Wrong on purpose: libraries quote what they find wrong.
        PatientAge=f"{NUMBER}Y",
        StudyDate=f"{BIRTH}{LATIN}",
    )


def bodies() -> dict[str, tuple[bytes, str]]:
    """Bodies by what they are, with their content types."""
    person = {"name": CHINESE, "latin": LATIN, "patient_id": NUMBER, "birth_date": "1937-02-19"}
    bundle = {"resourceType": "Bundle", "entry": [{"resource": person}], LATIN: NUMBER}
    part = (
        f'--x\r\nContent-Disposition: form-data; name="{LATIN}"; filename="{CHINESE}-{NUMBER}.dcm"'
        f"\r\nContent-Type: text/{LATIN}\r\n\r\n"
    ).encode()
    return {
        "dicom": (dicom(), "application/dicom"),
        "broken dicom": (dicom()[:900], "application/dicom"),
        "json": (json.dumps({"patient": person, **person}).encode(), "application/json"),
        "gb json": (json.dumps(person, ensure_ascii=False).encode("gb18030"), "application/json"),
        "fhir": (json.dumps(bundle, ensure_ascii=False).encode(), "application/fhir+json"),
        "broken json": (f'{{"{CHINESE}": "{NUMBER}'.encode(), "application/json"),
        "multipart": (part + dicom() + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"),
        "broken multipart": (part + NUMBER.encode(), "multipart/form-data; boundary=x"),
        "related": (
            b"--x\r\nContent-Type: application/dicom\r\n\r\n" + dicom() + b"\r\n--x--",
            'multipart/related; type="application/dicom"; boundary=x',
        ),
        "odd type": (NUMBER.encode(), f"application/{LATIN}; name={NUMBER}"),
    }


def path_of(route: Route) -> str:
    """The route's path with a patient in place of each parameter."""
    path = route.path
    while "{" in path:
        before, _, rest = path.partition("{")
        path = before + urllib.parse.quote(f"{CHINESE}{NUMBER}") + rest.partition("}")[2]
    return path


HEADERS = {
    "X-Patient": urllib.parse.quote(CHINESE),
    "Referer": f"http://127.0.0.1/{NUMBER}",
    "User-Agent": LATIN,
    "X-Request-ID": NUMBER,
    "Cookie": f"patient={NUMBER}",
    "traceparent": f"00-{NUMBER}-{LATIN}-01",
    "baggage": f"patient={NUMBER}",
}


def send(doors: Doors, route: Route) -> list[str]:
    """Send everything to one route; return what leaked into answers that are errors."""
    found = []
    query = {"patient": f"{CHINESE}{NUMBER}", LATIN: BIRTH}
    contents = bodies() if route.method not in ("GET", "DELETE") else {"nothing": (b"", "")}
    for kind, (content, content_type) in contents.items():
        for options in ({}, query):
            headers = HEADERS | ({"Content-Type": content_type} if content_type else {})
            answer = doors.client.request(
                route.method, path_of(route), params=options, content=content, headers=headers
            )
            assert answer.status_code != 500, f"{route.method} {route.path}, {kind}"
            if answer.status_code >= 400:
                where = f"the {answer.status_code} of {route.method} {route.path} for {kind}"
                found += leaks(answer.content, where)
                found += leaks(str(answer.headers).encode(), where)
    return found


@pytest.mark.slow
def test_nothing_identifiable_is_left_anywhere(doors: Doors) -> None:
    found = [leak for route in ROUTES for leak in send(doors, route)]
    without = httpx.get(
        f"{doors.url}/v1/{NUMBER}",
        params={"name": LATIN},
        headers={"Authorization": f"Bearer {NUMBER}"},
    )
    found += leaks(without.content, "an answer to nobody")
    found += _leaks_of_handshakes(doors)
    _send_nonsense(doors.url)
    found += leaks(doors.client.get("/metrics").content, "metrics")
    for format_ in ("json", "fhir", "dicom"):
        done = CliRunner().invoke(app, ["audit", "export", "--format", format_])
        assert done.exit_code == 0
        assert done.stdout.count("\n") > len(ROUTES)
        found += leaks(done.stdout.encode(), f"the audit export as {format_}")
    found += leaks(doors.log.read_bytes(), "the log")
    found += _leaks_of_traces(doors.traces)
    for folder in (doors.home, doors.scratch):
        found += leaks_under(folder)
    assert not found
    assert doors.log.read_bytes(), "there is a log to search"


def _leaks_of_traces(traces: Collector) -> list[str]:
    """Wait for the spans of the last request, and search all."""
    last, deadline = "GET /metrics", time.monotonic() + 30
    while last not in traces.names() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert {f"{route.method} {route.path}" for route in ROUTES if route.handler} <= traces.names()
    for span in traces.spans():
        assert attributes_of(span).keys() <= set(Attribute)
        assert not span.get("events")
        assert not span.get("traceState")
        assert not span.get("status", {}).get("message")
    return [leak for body in traces.bodies for leak in leaks(body, "a trace")]


def test_the_search_would_find_it() -> None:
    for written in (
        CHINESE.encode(),
        CHINESE.encode("gb18030"),
        f"patient={urllib.parse.quote(CHINESE)}".encode(),
        json.dumps({"name": CHINESE}).encode(),
        base64.b64encode(b"12" + f"name={NUMBER};".encode()),
        repr(f"'{NUMBER}'").encode(),
        dicom(),
    ):
        assert leaks(written, "here")
    assert not leaks(io.BytesIO(b"nothing of anybody").read(), "here")


def _leaks_of_handshakes(doors: Doors) -> list[str]:
    """Open a WebSocket wherever there is a route, with a patient in the path and in the query."""
    found = []
    for path in {path_of(route) for route in ROUTES}:
        place = f"{doors.url.replace('http:', 'ws:')}{path}?patient={NUMBER}"
        headers = HEADERS | {"Authorization": doors.client.headers["Authorization"]}
        try:
            with connect(place, additional_headers=headers, proxy=None):
                pass
        except InvalidStatus as refused:
            found += leaks(
                bytes(refused.response.body or b""), f"the refusal of a WebSocket at {path}"
            )
    return found


def _send_nonsense(url: str) -> None:
    """Bytes that are not HTTP, with a name in them."""
    address = urllib.parse.urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(f"{CHINESE} /{NUMBER} {LATIN}\r\n\r\n".encode())
        connection.recv(4096)
