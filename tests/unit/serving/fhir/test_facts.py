"""Facts that resources tell of a person."""

from typing import Any

import pytest

from models.risk.assessment import read_person
from serving.fhir.facts import person_of, tells_something
from tests.risk_samples import observation


def own(name: str, **value: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": "o",
        "status": "final",
        "code": {"coding": [{"system": "urn:zhuzhen:risk-input", "code": name}]},
        "effectiveDateTime": "2026-01-05",
        **value,
    }


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("region_of_china", {"valueString": "north"}, "north"),
        (
            "residence",
            {"valueCodeableConcept": {"coding": [{"code": "rural", "display": "农村"}]}},
            "rural",
        ),
        ("family_history_ascvd", {"valueBoolean": False}, False),
        ("waist_cm", {"valueQuantity": {"value": 92, "unit": "cm"}}, 92),
    ],
)
def test_what_no_code_system_has_is_told_by_its_own_name(
    name: str, value: dict[str, Any], expected: object
) -> None:
    fact = person_of([own(name, **value)]).facts[name]

    assert fact.sent["value"] == expected
    assert fact.reference == "Observation/o"


def test_one_albumin_in_either_unit_is_no_contradiction() -> None:
    under_mass = observation(1, "9318-7", 12.0, "mg/mmol", "2026-11-01")
    under_molar = observation(2, "32294-1", 11.0, "mg/mmol", "2026-10-01")

    person = person_of([under_mass, under_molar])

    assert person.facts["urine_acr_mg_mmol"].sent["value"] == 12.0
    assert read_person(person.inputs)["urine_acr_mg_mmol"].value == 12.0


@pytest.mark.parametrize(
    "resource",
    [
        own("nothing_like_it", valueString="north"),
        own("region_of_china", valueString=""),
        own("region_of_china", valueString=["north"]),
        {**own("region_of_china", valueString="north"), "status": "entered-in-error"},
        {"resourceType": "Encounter"},
    ],
)
def test_what_tells_nothing(resource: dict[str, Any]) -> None:
    assert not tells_something(resource)
