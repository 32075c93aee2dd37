"""Facts that resources tell of a person."""

from typing import Any

import pytest

from serving.fhir.facts import person_of, tells_something


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
