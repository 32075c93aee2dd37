"""Tiles of stained slides at their own door, by the released models."""

import io
import json
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from models.findings import Verdict
from models.preprocessing import ImageKind
from models.store import RELEASED, load, versions
from serving.recognition import Recognizer

ROUTE = "/v1/classify-pathology"
EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
MODELS = sorted(
    name
    for name, folders in versions().items()
    if any(folder.is_relative_to(RELEASED) for folder in folders.values())
    and load(name).spec.kind == ImageKind.TILE
)
PNG = {"content-type": "image/png"}


def png_of(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def noise(side: int) -> bytes:
    colours = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return png_of(colours)


@pytest.mark.parametrize("model", MODELS)
def test_what_is_no_stained_tile_is_refused(model: str) -> None:
    recognizer = Recognizer(load(model))
    side = 50 if model == "breast-idc" else 224
    assert recognizer.read(noise(side)).pre_read.verdict is Verdict.OUT_OF_DISTRIBUTION
    grey = png_of(np.random.default_rng(1).integers(60, 200, (side, side), dtype=np.uint8))
    reading = recognizer.read(grey).pre_read
    assert reading.verdict is Verdict.OUT_OF_DISTRIBUTION
    assert "colour" in [reason.rule for reason in reading.reasons]
    large = recognizer.read(noise(2000)).pre_read
    assert large.verdict is Verdict.OUTSIDE_INTENDED_USE
    dicom = recognizer.read((EXAMPLES / "child-normal-1.dcm").read_bytes()).pre_read
    assert dicom.verdict is Verdict.UNREADABLE
    assert "PNG or JPEG" in dicom.reasons[0].message.en


def test_tile_is_answered_at_its_door(client: httpx.Client) -> None:
    response = client.post(ROUTE, content=noise(50), headers=PNG)
    assert response.status_code == 200
    answer = response.json()
    assert answer["model"] == "breast-idc"
    assert answer["verdict"] == "out_of_distribution"
    assert answer["findings"] == []


@pytest.mark.parametrize(
    ("route", "model", "told"),
    [
        (ROUTE, "chest-xray-pneumonia", "POST it to /v1/recognize"),
        ("/v1/recognize", "breast-idc", "POST it to /v1/classify-pathology"),
        ("/v1/recognize", "mortality-10y", "takes the inputs of a person as JSON; POST it to"),
        (ROUTE, "coronary-disease", "POST it to /v1/score-risk"),
    ],
)
def test_model_of_another_kind_names_its_door(
    client: httpx.Client, route: str, model: str, told: str
) -> None:
    response = client.post(f"{route}?model={model}", content=noise(50), headers=PNG)
    assert response.status_code == 400
    assert told in json.dumps(response.json())
