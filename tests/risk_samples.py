"""One person as the doors of the risk scores are told of them."""

import json
from pathlib import Path
from typing import Any

from models.package import seal
from models.risk.registry import SCORES

VILLAGER: dict[str, Any] = {
    "age_years": 60,
    "sex": "male",
    "sbp_mmhg": 145,
    "total_cholesterol_mmol_l": 5.2,
    "hdl_cholesterol_mmol_l": 1.1,
    "waist_cm": 92,
    "current_smoker": True,
    "diabetes": False,
    "antihypertensive_treatment": True,
    "region_of_china": "north",
    "residence": "rural",
    "family_history_ascvd": False,
    "country": "CHN",
}

PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "gender": "male",
    "birthDate": "1966-03-01",
    "address": [{"country": "CN"}],
}


def observation(
    number: int, code: str, value: float, unit: str, on: str = "2026-11-20T09:00:00+08:00"
) -> dict[str, Any]:
    """A final observation by its LOINC code."""
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": on,
        "valueQuantity": {
            "value": value,
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
    }


SMOKING = {
    "resourceType": "Observation",
    "id": "smoking",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "72166-2"}]},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2026-11-20",
    "valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": "449868002"}]},
}
BLOOD_PRESSURE = {
    "resourceType": "Observation",
    "id": "bp",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2026-11-20",
    "component": [
        {
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "valueQuantity": {
                "value": value,
                "unit": "mmHg",
                "system": "http://unitsofmeasure.org",
                "code": "mm[Hg]",
            },
        }
        for code, value in (("8480-6", 145), ("8462-4", 88))
    ],
}
NO_DIABETES = {
    "resourceType": "Condition",
    "id": "no-dm",
    "verificationStatus": {"coding": [{"code": "refuted"}]},
    "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "E11.9"}]},
    "subject": {"reference": "Patient/p1"},
}
RESOURCES: list[dict[str, Any]] = [
    PATIENT,
    SMOKING,
    BLOOD_PRESSURE,
    NO_DIABETES,
    # The later one counts, and is in the unit of many laboratories.
    observation(1, "2093-3", 350, "mg/dL", "2020-01-01"),
    observation(2, "2093-3", 200, "mg/dL"),
    observation(3, "14646-4", 1.1, "mmol/L"),
    observation(4, "8280-0", 92, "cm"),
    observation(5, "14682-9", 90, "umol/L"),
]


def write_recalibration(root: Path, **changes: Any) -> str:
    """Write a sealed recalibration of china-par into `root` and return its digest."""
    content = {
        "contract": 1,
        "name": root.parent.name,
        "version": root.name,
        "score": "china-par",
        "score_version": SCORES["china-par"].version,
        "scale": "log_hazard",
        "intercept": 0.4,
        "slope": 0.9,
        "horizon_years": 10,
        "options": {},
        "cohort": {"en": "Testville", "zh": "测试镇"},
        "people": 6000,
        "events": 300,
        "by": "Li Wei",
        "made_on": "2026-11-25",
        **changes,
    }
    root.mkdir(parents=True)
    (root / "recalibration.json").write_text(json.dumps(content), encoding="utf-8")
    return seal(root)


def bundle(resources: list[dict[str, Any]], kind: str = "collection") -> dict[str, Any]:
    """A Bundle of `resources`."""
    return {
        "resourceType": "Bundle",
        "type": kind,
        "entry": [{"resource": resource} for resource in resources],
    }
