"""A recalibrated score at the doors of a running service."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import fhirkit
import httpx
import pytest

from models import store
from models.errors import PackageInvalidError
from models.risk.recalibration import read_recalibration
from models.risk.registry import SCORES
from tests.risk_samples import RESOURCES, VILLAGER, bundle, write_recalibration

NAME = "china-par-testville"


@pytest.fixture
def digest() -> Iterator[str]:
    folder = store.home() / "models" / NAME
    yield write_recalibration(folder / "1.0.0")
    shutil.rmtree(folder, ignore_errors=True)


def score(client: httpx.Client, name: str) -> httpx.Response:
    return client.post("/v1/score-risk", json={"scores": name, "person": VILLAGER})


def test_a_running_service_takes_it_up_and_says_whence(client: httpx.Client, digest: str) -> None:
    (published,) = score(client, "china-par").json()["assessments"]
    (local,) = score(client, NAME).json()["assessments"]

    assert published["recalibration"] is None
    assert local["value"] > published["value"]
    assert local["recalibration"] == {
        "published_score": "china-par",
        "published_version": SCORES["china-par"].version,
        "version": "1.0.0",
        "digest": digest,
        "intercept": 0.4,
        "slope": 0.9,
        "horizon_years": 10,
        "cohort": {"en": "Testville", "zh": "测试镇"},
        "people": 6000,
        "events": 300,
        "by": "Li Wei",
        "made_on": "2026-11-25",
    }
    assert "测试镇" in local["title"]["zh"]
    assert "Li Wei" in local["remarks"][0]["zh"]
    listed = client.get("/v1/risk-scores").json()["scores"]
    assert [one["id"] for one in listed if one["recalibration"]] == [NAME]
    applicable = score(client, "applicable").json()["assessments"]
    assert {NAME, "china-par"} <= {one["score"] for one in applicable}

    shutil.rmtree(store.home() / "models" / NAME)
    assert score(client, NAME).status_code == 400


def test_fhir_names_the_recalibration(client: httpx.Client, digest: str) -> None:
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "resource", "resource": bundle(RESOURCES)},
            {"name": "score", "valueString": NAME},
            {"name": "region_of_china", "valueString": "north"},
            {"name": "residence", "valueString": "rural"},
            {"name": "antihypertensive_treatment", "valueBoolean": False},
            {"name": "family_history_ascvd", "valueBoolean": False},
        ],
    }
    found = client.post("/fhir/$assess-risk", json=parameters).json()

    assessed = [entry["resource"] for entry in found["entry"]]
    (risk,) = [one for one in assessed if one["resourceType"] == "RiskAssessment"]
    assert NAME in str(risk["code"])
    assert "Testville" in risk["method"]["text"]
    errors = [str(i) for i in fhirkit.validate(risk) if str(i).startswith("error")]
    assert not errors


def test_one_that_was_changed_is_not_used(client: httpx.Client, digest: str) -> None:
    file = store.home() / "models" / NAME / "1.0.0" / "recalibration.json"
    file.write_text(file.read_text("utf-8").replace("0.9", "1.9"), encoding="utf-8")
    (file.parents[1] / "touched").touch()

    refused = score(client, NAME)

    assert refused.status_code == 503
    assert "SHA-256" in refused.json()["detail"]
    assert score(client, "china-par").status_code == 200


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"slope": 0}, "at slope"),
        ({"intercept": "much"}, "at intercept"),
        ({"score_version": "1999"}, "recalibrate again"),
        ({"score": "nothing"}, "no such score"),
        ({"made_on": "yesterday"}, "cannot be read"),
    ],
)
def test_what_does_not_fit_the_contract_is_told(
    tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    write_recalibration(tmp_path / NAME / "1.0.0", **changes)
    with pytest.raises(PackageInvalidError, match=told):
        read_recalibration(tmp_path / NAME / "1.0.0", SCORES)
