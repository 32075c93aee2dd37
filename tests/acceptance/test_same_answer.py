"""The same bytes give the same answer from both doors."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.attached import attached_service
from serving.demo.inputs import DemoInput, demo_inputs

ZHUZHEN = Path(sys.executable).with_name("zhuzhen")
MODEL = "chest-xray-pneumonia"
PER_CALL = ("input", "timings_ms")
INPUTS = demo_inputs()


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with (
        attached_service() as service,
        httpx.Client(base_url=service.url, headers=service.headers, timeout=60) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def by_command_line(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("inputs")
    for sent in INPUTS:
        (folder / sent.name).write_bytes(sent.data)
    paths = [folder / sent.name for sent in INPUTS]
    run = subprocess.run(
        [ZHUZHEN, "predict", MODEL, *paths, "--json"], capture_output=True, text=True, check=True
    )
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    return {Path(answer["input"]).name: answer for answer in answers}


def without_what_differs_per_call(answer: dict[str, Any]) -> dict[str, Any]:
    assert set(PER_CALL) <= set(answer)
    return {name: value for name, value in answer.items() if name not in PER_CALL}


@pytest.mark.parametrize("sent", INPUTS, ids=lambda sent: sent.name)
def test_body_and_file_get_the_same_answer(
    client: httpx.Client, by_command_line: dict[str, dict[str, Any]], sent: DemoInput
) -> None:
    response = client.post(
        "/v1/recognize", content=sent.data, headers={"Content-Type": "application/dicom"}
    )
    assert response.status_code == 200
    expected = without_what_differs_per_call(by_command_line[sent.name])
    assert without_what_differs_per_call(response.json()) == expected


def test_multipart_gets_the_same_answers_in_order(
    client: httpx.Client, by_command_line: dict[str, dict[str, Any]]
) -> None:
    files = [("file", (sent.name, sent.data, "application/dicom")) for sent in INPUTS]
    results = client.post("/v1/recognize", files=files).json()["results"]
    assert [result["input"] for result in results] == [sent.name for sent in INPUTS]
    for result in results:
        expected = without_what_differs_per_call(by_command_line[result["input"]])
        assert without_what_differs_per_call(result) == expected
