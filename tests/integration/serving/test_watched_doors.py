"""Every door of a model is watched, and a challenger of any kind reads along."""

import io
import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
import pytest
from PIL import Image

from models import store
from models.observation import OBSERVED, SHADOW, Observation, read_days
from models.package import METADATA, seal

TILES, PEOPLE = "breast-idc", "coronary-disease"
PERSON = {"age_years": 57.4, "sex": "M", "chest_pain": "asymptomatic", "sbp_mmhg": 131}
_WAIT_S = 60


@pytest.fixture
def challenger() -> Iterator[str]:
    """A second version of the model of people, which is the challenger while the test runs."""
    folder = store.home() / "models" / PEOPLE / "99.0.0"
    released = store.load(PEOPLE)
    shutil.copytree(released.root, folder)
    metadata = json.loads((folder / METADATA).read_text("utf-8"))
    (folder / METADATA).write_text(json.dumps(metadata | {"version": "99.0.0"}), "utf-8")
    own = released.reference_to
    store.set_alias(PEOPLE, store.CHALLENGER, store.Stated("99.0.0", seal(folder)))
    store.set_alias(PEOPLE, store.CHAMPION, store.Stated(own.version, own.digest))
    # The service looks twice a second.
    time.sleep(0.6)
    yield "99.0.0"
    store.set_alias(PEOPLE, store.CHALLENGER, None)
    store.set_alias(PEOPLE, store.CHAMPION, None)
    shutil.rmtree(folder)


def kept(model: str, kind: str, known: int) -> list[Observation]:
    """Return what was written since there were `known` observations."""
    today = datetime.now(UTC).date()
    until = time.monotonic() + _WAIT_S
    while time.monotonic() < until:
        found = list(read_days(model, kind, today - timedelta(days=1), today))
        if len(found) > known:
            return found[known:]
        time.sleep(0.1)
    return []


def before(model: str, kind: str) -> int:
    today = datetime.now(UTC).date()
    return len(list(read_days(model, kind, today - timedelta(days=1), today)))


def test_tile_is_watched_at_its_door(client: httpx.Client) -> None:
    known = before(TILES, OBSERVED)
    stream = io.BytesIO()
    pixels = np.random.default_rng(8).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    headers = {"content-type": "image/png"}
    client.post("/v1/classify-pathology", content=stream.getvalue(), headers=headers)
    (observed,) = kept(TILES, OBSERVED, known)
    assert observed.verdict == "out_of_distribution"
    assert observed.facts["mean_red"] == pytest.approx(pixels[..., 0].mean())
    assert observed.sent.startswith("p-")
    assert observed.institution != "unknown"


def test_person_is_watched_at_its_door_and_by_a_challenger(
    client: httpx.Client, challenger: str
) -> None:
    known, shadows = before(PEOPLE, OBSERVED), before(PEOPLE, SHADOW)
    answer = client.post("/v1/score-risk", json={"scores": PEOPLE, "person": PERSON}).json()
    (said,) = answer["model_assessments"][0]["findings"]
    (observed,) = kept(PEOPLE, OBSERVED, known)
    assert observed.version == answer["model_assessments"][0]["version"] != challenger
    assert observed.said["coronary_disease"].probability == pytest.approx(
        said["probability"], abs=1e-6
    )
    (pair,) = kept(PEOPLE, SHADOW, shadows)
    assert pair.challenger is not None
    assert (pair.challenger.version, pair.challenger.said) == (challenger, observed.said)
