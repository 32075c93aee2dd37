"""The risk scores through the service's doors: HTTP, FHIR and CDS Hooks."""

import json
from typing import Any

import fhirkit
import httpx
import pytest

from serving.access import open_guard
from serving.cds_hooks.feedback import count_feedback
from tests.risk_samples import PATIENT, RESOURCES, VILLAGER, bundle

CARDS = "/cds-services/cardiometabolic-risk"


def score(client: httpx.Client, scores: object, person: dict[str, Any]) -> httpx.Response:
    return client.post("/v1/score-risk", json={"scores": scores, "person": person})


def test_one_score_tells_all_that_is_needed_to_judge_it(client: httpx.Client) -> None:
    response = score(client, "china-par", VILLAGER)

    assert response.status_code == 200
    (answer,) = response.json()["assessments"]
    assert answer["status"] == "ok"
    assert 0 < answer["value"] < 100
    assert answer["unit"] == "%"
    assert answer["horizon_years"] == 10
    assert answer["category"]["name"] in ("low", "intermediate", "high")
    assert {used["name"] for used in answer["inputs"]} >= {"age_years", "waist_cm"}
    assert answer["contributions"]
    assert "waist_cm" not in {what_if["input"] for what_if in answer["what_if"]}
    assert "未经医疗器械注册审批" in answer["notice"]["zh"]
    assert answer["citation"]


def test_what_is_missing_is_refused_by_name_and_not_guessed(client: httpx.Client) -> None:
    person = {name: value for name, value in VILLAGER.items() if name != "waist_cm"}

    (answer,) = score(client, ["china-par"], person).json()["assessments"]

    assert answer["value"] is None
    assert [refusal["input"] for refusal in answer["refusals"]] == ["waist_cm"]


def test_all_that_apply_and_why_the_others_do_not(client: httpx.Client) -> None:
    found = score(client, "applicable", VILLAGER).json()

    assert {"china-par", "who-cvd-lab"} <= {one["score"] for one in found["assessments"]}
    refused = {one["score"]: one["reasons"] for one in found["not_applicable"]}
    assert "kfre-4" in refused
    assert all(reasons and reasons[0]["zh"] for reasons in refused.values())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"person": {}, "person": {}}',
        b'{"person": {"age_years": NaN}}',
        b'{"person": []}',
        b'{"person": {}, "other": 1}',
        b'{"scores": "nothing-like-it", "person": {}}',
        b'{"scores": ["china-par", "china-par"], "person": {}}',
        b'{"scores": "prevent", "person": {}}',
        b'{"scores": "china-par", "person": {"ZhangSan": 1}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
    ids=range(12),
)
def test_what_is_no_request_is_refused(client: httpx.Client, body: bytes) -> None:
    response = client.post(
        "/v1/score-risk", content=body, headers={"content-type": "application/json"}
    )

    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"


def test_scores_are_listed_with_what_they_need(client: httpx.Client) -> None:
    listed = {one["id"]: one for one in client.get("/v1/risk-scores").json()["scores"]}

    assert listed["china-par"]["enabled"]
    assert not listed["prevent"]["enabled"]
    assert listed["prevent"]["off_because"]["zh"]
    assert client.get("/v1/risk-scores/china-par").json() == listed["china-par"]
    assert client.get("/v1/risk-scores/none").status_code == 404


def test_packaged_models_answer_at_the_same_door(client: httpx.Client) -> None:
    person = {
        **VILLAGER,
        "bmi_kg_m2": 24.0,
        "albumin_g_dl": {"value": 4.4, "unit": "g/dL"},
        "total_protein_g_dl": 7.1,
        "iron_ug_dl": 95,
        "tibc_ug_dl": 350,
        "transferrin_saturation_percent": 27,
        "magnesium_mg_dl": 1.7,
    }

    both = score(client, ["china-par", "mortality-10y"], person).json()
    alone = score(client, "mortality-10y", person).json()
    converted = {**person, "total_cholesterol_mmol_l": {"value": 201.084, "unit": "mg/dL"}}
    same = score(client, "mortality-10y", converted).json()["model_assessments"][0]
    unknown = {**person, "total_cholesterol_mmol_l": {"value": 5.2, "unit": "furlong"}}
    refused = score(client, "mortality-10y", unknown)

    assert [one["score"] for one in both["assessments"]] == ["china-par"]
    (model,) = both["model_assessments"]
    assert alone == {"assessments": [], "model_assessments": [model]}
    assert model["model"] == "mortality-10y"
    assert model["digest"].startswith("sha256:")
    (finding,) = model["findings"]
    assert finding["label"] == "death"
    probability = finding["probability"]
    assert same["findings"][0]["probability"] == pytest.approx(probability, abs=1e-3)
    assert refused.status_code == 400
    assert "total_cholesterol_mmol_l" in refused.text
    added = sum(one["log_odds"] for one in finding["contributions"])
    assert added + finding["baseline_log_odds"] == pytest.approx(finding["log_odds"], abs=1e-4)
    assert score(client, "chest-xray-pneumonia", person).status_code == 400


def parameters(*more: dict[str, Any]) -> dict[str, Any]:
    own = {
        "region_of_china": "north",
        "residence": "rural",
        "family_history_ascvd": False,
        "antihypertensive_treatment": True,
    }
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "resource", "resource": bundle(RESOURCES)},
            *(
                {"name": name, "valueBoolean" if isinstance(value, bool) else "valueCode": value}
                for name, value in own.items()
            ),
            *more,
        ],
    }


def fhir(client: httpx.Client, body: object) -> httpx.Response:
    return client.post(
        "/fhir/$assess-risk",
        content=json.dumps(body),
        headers={"content-type": "application/fhir+json"},
    )


def errors_of(resource: dict[str, Any]) -> list[str]:
    return [str(issue) for issue in fhirkit.validate(resource) if str(issue).startswith("error")]


def test_fhir_gives_valid_resources_with_their_basis(client: httpx.Client) -> None:
    response = fhir(client, parameters({"name": "score", "valueCode": "china-par"}))

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/fhir+json")
    found = response.json()
    assert errors_of(found) == []
    (assessment,) = [entry["resource"] for entry in found["entry"]]
    assert assessment["resourceType"] == "RiskAssessment"
    prediction = assessment["prediction"][0]
    same = {**VILLAGER, "total_cholesterol_mmol_l": {"value": 200, "unit": "mg/dL"}}
    expected = score(client, "china-par", same).json()["assessments"][0]["value"]
    # A percentage in R4.
    assert prediction["probabilityDecimal"] == pytest.approx(expected, abs=0.01)
    references = {basis["reference"] for basis in assessment["basis"]}
    assert {"Observation/o2", "Observation/bp", "Patient/p1", "Condition/no-dm"} <= references
    assert "Observation/o1" not in references


def test_fhir_answers_everything_that_applies(client: httpx.Client) -> None:
    found = fhir(client, bundle(RESOURCES)).json()

    assert errors_of(found) == []
    kinds = {entry["resource"]["resourceType"] for entry in found["entry"]}
    assert kinds == {"RiskAssessment", "Observation", "OperationOutcome"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"resourceType": "Patient"}, 400),
        ({"resourceType": "Bundle", "type": "collection", "entry": 3}, 400),
        (bundle([PATIENT, {**PATIENT, "id": "p2"}]), 400),
        (parameters({"name": "unknown", "valueCode": "x"}), 400),
        ([], 400),
    ],
)
def test_errors_under_fhir_are_operation_outcomes(
    client: httpx.Client, body: object, status: int
) -> None:
    response = fhir(client, body)

    assert response.status_code == status
    assert response.json()["resourceType"] == "OperationOutcome"
    assert errors_of(response.json()) == []


def test_fhir_says_what_it_can_do_and_who_may_not(client: httpx.Client, service_url: str) -> None:
    assert errors_of(client.get("/fhir/metadata").json()) == []
    refused = httpx.post(f"{service_url}/fhir/$assess-risk", json={}, trust_env=False)
    assert refused.status_code == 401
    assert refused.json()["resourceType"] == "OperationOutcome"


def call(hook: str = "patient-view", **more: Any) -> dict[str, Any]:
    """A call as the public sandbox of CDS Hooks shapes it."""
    observations = [r for r in RESOURCES if r["resourceType"] == "Observation"]
    return {
        "hook": hook,
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "fhirServer": "https://launch.example/fhir",
        "context": {"userId": "Practitioner/1", "patientId": "p1", **more},
        "prefetch": {
            "patient": PATIENT,
            "observations": bundle(observations, "searchset"),
            "conditions": bundle([], "searchset"),
            "medications": bundle([], "searchset"),
        },
    }


def test_services_are_discovered_with_their_prefetch(client: httpx.Client) -> None:
    services = {one["id"]: one for one in client.get("/cds-services").json()["services"]}

    assert services["cardiometabolic-risk"]["hook"] == "patient-view"
    assert "{{context.patientId}}" in services["cardiometabolic-risk"]["prefetch"]["patient"]


@pytest.mark.parametrize(("language", "word"), [("zh-CN", "风险"), ("en", "risk")])
def test_cards_have_the_form_that_the_standard_asks_for(
    client: httpx.Client, language: str, word: str
) -> None:
    response = client.post(CARDS, json=call(), headers={"accept-language": language})

    cards = response.json()["cards"]
    assert cards
    for card in cards:
        assert len(card["summary"]) < 140
        assert card["indicator"] in ("info", "warning")
        assert card["source"]["label"]
        assert card["overrideReasons"]
        assert "suggestions" not in card
    assert any(word in card["summary"] for card in cards)


def test_a_call_that_lacks_data_gets_no_number(client: httpx.Client) -> None:
    bare = call()
    bare["prefetch"]["observations"] = bundle([], "searchset")

    (card,) = client.post(CARDS, json=bare).json()["cards"]

    assert card["indicator"] == "info"
    assert "%" not in card["summary"]


def test_atrial_fibrillation_is_answered_when_it_is_added(client: httpx.Client) -> None:
    path = "/cds-services/atrial-fibrillation-stroke-risk"
    condition = {
        "resourceType": "Condition",
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "I48.0"}]},
        "subject": {"reference": "Patient/p1"},
    }
    hook = "problem-list-item-create"

    cards = client.post(path, json=call(hook, conditions=bundle([condition]))).json()["cards"]
    other = client.post(path, json=call(hook, conditions=bundle([]))).json()["cards"]

    assert len(cards) == 2
    assert other == []


def test_feedback_is_kept_and_counted(client: httpx.Client) -> None:
    cards = client.post(CARDS, json=call()).json()["cards"]
    told = {
        "card": cards[0]["uuid"],
        "outcome": "overridden",
        "overrideReason": {
            "reason": {"code": "data-wrong"},
            "userComment": "ZhangSan was measured twice",
        },
        "outcomeTimestamp": "2026-11-25T08:00:00Z",
    }

    response = client.post(f"{CARDS}/feedback", json={"feedback": [told]})
    unknown = {**told, "card": "00000000-0000-4000-8000-000000000000"}
    refused = client.post(f"{CARDS}/feedback", json={"feedback": [unknown]})

    assert response.status_code == 200
    assert refused.status_code == 400
    with open_guard() as guard:
        counted = count_feedback(guard.engine)
    assert sum(row["reasons"].get("data-wrong", 0) for row in counted) == 1
    assert sum(row["shown"] for row in counted) >= len(cards)


@pytest.mark.parametrize("path", [CARDS, "/cds-services/none", f"{CARDS}/feedback"])
def test_what_is_no_call_is_refused(client: httpx.Client, path: str) -> None:
    response = client.post(path, json={"hook": "other"})

    assert response.status_code in (400, 404)
    assert response.headers["content-type"] == "application/problem+json"
