"""Spans of every part, for who asks for them, with nothing of a patient."""

import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest

from serving.attached import attached_service
from serving.settings import SettingError
from serving.tracing import Attribute, Stage, exporting
from tests.identifiers import ACCESSION, CHINESE, LATIN, NUMBER, leaks
from tests.risk_samples import VILLAGER
from tests.trace_collector import Collector, attributes_of, collecting

EXAMPLE = Path(__file__).parents[2] / "examples" / "child-pneumonia-1.dcm"
NODE = """
port: {port}
sources:
  - {{name: modality, institution: local, ae_title: MODALITY, quiet_time_s: 0.3}}
rules:
  - {{name: children, models: [chest-xray-pneumonia], destinations: [out]}}
destinations:
  - {{name: out, to: "folder:{out}"}}
"""
TRACE = secrets.token_hex(16)
AWAITED = {
    "POST /v1/recognize",
    "POST /v1/score-risk",
    *(
        Stage.ADMISSION,
        Stage.RECEIVE,
        Stage.READING,
        Stage.DECODE,
        Stage.GATE,
        Stage.PREPARE,
        Stage.INFERENCE,
        Stage.EVIDENCE,
        Stage.ASSESSMENT,
        Stage.AUDIT,
        Stage.ASSOCIATION,
        Stage.STORE,
        Stage.JOB,
        Stage.DELIVERY,
    ),
}


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """What a service that is an imaging node, too, tells of a patient through its doors."""
    storescu = shutil.which("storescu", path="/usr/local/bin:/usr/bin:/opt/homebrew/bin")
    if storescu is None:
        pytest.skip("DCMTK's storescu is not installed (Debian package dcmtk)")
    home = tmp_path_factory.mktemp("traces")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (home / "node.yaml").write_text(NODE.format(port=port, out=home / "out"))
    image = pydicom.dcmread(EXAMPLE)
    image.SpecificCharacterSet = "GB18030"
    image.PatientName, image.PatientID = f"{LATIN}={CHINESE}", NUMBER
    image.AccessionNumber = ACCESSION
    image.save_as(home / f"{NUMBER}.dcm")
    with pytest.MonkeyPatch.context() as environment, collecting() as collector:
        environment.setenv("ZHUZHEN_HOME", str(home))
        with attached_service(settings=collector.settings) as service:
            headers = {
                **service.headers,
                "traceparent": f"00-{TRACE}-{'1' * 16}-01",
                "tracestate": f"vendor={NUMBER}",
                "baggage": f"patient={NUMBER}",
            }
            content = (home / f"{NUMBER}.dcm").read_bytes()
            httpx.post(f"{service.url}/v1/recognize", content=content, headers=headers, timeout=60)
            asked = {"scores": "china-par", "person": VILLAGER}
            httpx.post(f"{service.url}/v1/score-risk", json=asked, headers=headers, timeout=60)
            sending = (
                storescu,
                "-xy",
                "-aet",
                "MODALITY",
                "-aec",
                "ZHUZHEN",
                "127.0.0.1",
                str(port),
            )
            subprocess.run([*sending, str(home / f"{NUMBER}.dcm")], check=True, timeout=60)
            deadline = time.monotonic() + 90
            while not collector.names() >= AWAITED and time.monotonic() < deadline:
                time.sleep(0.2)
        yield collector


def test_every_part_is_seen(traces: Collector) -> None:
    assert traces.names() >= AWAITED


def test_nothing_of_a_patient_is_told(traces: Collector) -> None:
    assert not [leak for body in traces.bodies for leak in leaks(body, "a trace")]
    uids = re.compile(rb"[0-2]\.[0-9]{1,10}\.[0-9.]{10,}")
    for body in traces.bodies:
        assert not uids.search(body)
    for span in traces.spans():
        assert attributes_of(span).keys() <= set(Attribute)
        assert not span.get("events")
        assert not span.get("traceState")


def test_a_request_is_part_of_its_senders_trace(traces: Collector) -> None:
    (request,) = [span for span in traces.spans() if span["name"] == "POST /v1/recognize"]
    assert request["traceId"].lower() == TRACE
    assert request["parentSpanId"] == "1" * 16
    told = attributes_of(request)
    assert told["http.route"] == "/v1/recognize"
    assert int(told["http.response.status_code"]) == 200


def test_what_is_done_is_part_of_what_it_is_done_in(traces: Collector) -> None:
    spans = traces.spans()
    by_id = {span["spanId"]: span for span in spans}

    def parent(span: dict[str, Any]) -> str:
        return str(by_id[span["parentSpanId"]]["name"])

    parents = {(span["name"], parent(span)) for span in spans if span.get("parentSpanId") in by_id}
    assert (Stage.INFERENCE, Stage.READING) in parents
    assert (Stage.READING, "POST /v1/recognize") in parents
    assert (Stage.STORE, Stage.ASSOCIATION) in parents
    assert (Stage.DECODE, Stage.JOB) in parents
    reading = next(span for span in spans if span["name"] == Stage.READING)
    assert attributes_of(reading)["zhuzhen.model.name"] == "chest-xray-pneumonia"


@pytest.mark.parametrize(
    ("name", "value"),
    [("OTEL_TRACES_EXPORTER", "zipkin"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
)
def test_what_is_not_known_is_refused(name: str, value: str) -> None:
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", name: value}
    with pytest.raises(SettingError, match=name), exporting(asked):
        pass


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"},
    ],
)
def test_nothing_is_recorded_unless_asked_for(environment: dict[str, str]) -> None:
    from serving import tracing

    with exporting(environment), tracing.span(Stage.GATE) as found:
        assert not found.is_recording()
