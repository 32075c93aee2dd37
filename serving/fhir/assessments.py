"""From assessments to FHIR R4: RiskAssessment for probabilities, Observation for all else.

https://hl7.org/fhir/R4/riskassessment.html: in R4 `probabilityDecimal` is a percentage when it
stands for one ("as a percentage or decimal"); its example writes 0 to 100 with the invariant
ras-2, "must be <= 100". Outcomes are keyed on ICD-10. A refusal is an OperationOutcome, one issue
for each reason, so that nothing looks like a result.
"""

import uuid
from datetime import UTC, datetime
from typing import Any

from models.findings import Code, Text
from models.risk.assessment import NOTICE, Assessment
from models.risk.score import Measure
from serving.fhir import codes
from serving.fhir.facts import Person

SCORE_SYSTEM = "urn:zhuzhen:risk-score"
BAND_SYSTEM = "urn:zhuzhen:risk-category"
STATUS_SYSTEM = "urn:zhuzhen:risk-status"
_UUID_SPACE = uuid.UUID("6b1f3a0e-6a0d-5f5e-9d0e-6d6c7a52a5f1")

Resource = dict[str, Any]


def bundle_of(assessments: list[Assessment], person: Person) -> Resource:
    """Return a collection of what each score says of `person`."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    entries = [_entry(assessment, person, when) for assessment in assessments]
    return {"resourceType": "Bundle", "type": "collection", "timestamp": when, "entry": entries}


def _entry(assessment: Assessment, person: Person, when: str) -> Resource:
    name = f"{assessment.score.id}|{person.subject}|{when}"
    resource = resource_of(assessment, person, when)
    return {"fullUrl": f"urn:uuid:{uuid.uuid5(_UUID_SPACE, name)}", "resource": resource}


def resource_of(assessment: Assessment, person: Person, when: str) -> Resource:
    """Return one assessment as the resource that fits its measure."""
    if assessment.value is None:
        return outcome_of(assessment)
    if assessment.score.measure is Measure.PROBABILITY:
        return _risk_assessment(assessment, person, when)
    return _observation(assessment, person, when)


def outcome_of(assessment: Assessment) -> Resource:
    """Return why there is no value."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": "required" if refusal.found is None else "value",
                "details": {
                    "coding": [{"system": STATUS_SYSTEM, "code": refusal.status.word}],
                    "text": f"{assessment.score.id}: {_both(refusal.told)}",
                },
                "diagnostics": refusal.input or assessment.score.id,
            }
            for refusal in assessment.refusals
        ],
    }


def _risk_assessment(assessment: Assessment, person: Person, when: str) -> Resource:
    score = assessment.score
    prediction: Resource = {
        "outcome": {
            "coding": [_coding(code) for code in score.outcome_codes],
            "text": _both(score.outcome),
        },
        # Up to two decimals: more would be noise of the equation.
        "probabilityDecimal": round(assessment.value or 0.0, 2),
    }
    if assessment.category is not None:
        prediction["qualitativeRisk"] = _category(assessment)
    if assessment.horizon_years is not None:
        prediction["whenRange"] = {
            "low": _years(0.0),
            "high": _years(assessment.horizon_years),
        }
    if assessment.near_edge is not None:
        prediction["rationale"] = _both(assessment.near_edge)
    return {
        "resourceType": "RiskAssessment",
        "status": "final",
        "method": {
            "coding": [{"system": SCORE_SYSTEM, "code": score.id, "version": score.version}],
            "text": f"{score.title.en} {score.version}. {score.citation}",
        },
        "code": _code(assessment),
        "subject": _subject(person),
        "occurrenceDateTime": when,
        **_basis("basis", assessment, person),
        "prediction": [prediction],
        **_what_ifs(assessment),
        "note": _notes(assessment),
    }


def _observation(assessment: Assessment, person: Person, when: str) -> Resource:
    score = assessment.score
    value = round(assessment.value or 0.0, 4)
    whole = score.measure is Measure.POINTS and float(value).is_integer()
    told: Resource = (
        {"valueInteger": int(value)} if whole else {"valueQuantity": _quantity(score.unit, value)}
    )
    if score.measure is Measure.CLASS and assessment.category is not None:
        told = {"valueCodeableConcept": _category(assessment)}
    found: Resource = {
        "resourceType": "Observation",
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "survey",
                    }
                ]
            }
        ],
        "code": _code(assessment),
        "subject": _subject(person),
        "effectiveDateTime": when,
        **told,
        **_basis("derivedFrom", assessment, person),
        "method": {"text": f"{score.title.en} {score.version}. {score.citation}"},
        "note": _notes(assessment),
    }
    if assessment.category is not None and score.measure is not Measure.CLASS:
        found["interpretation"] = [_category(assessment)]
    return found


def _code(assessment: Assessment) -> Resource:
    score = assessment.score
    coding = [{"system": SCORE_SYSTEM, "code": score.id, "display": score.title.en}]
    if score.loinc is not None:
        coding.insert(0, {"system": codes.LOINC, "code": score.loinc})
    return {"coding": coding, "text": _both(score.title)}


def _category(assessment: Assessment) -> Resource:
    band = assessment.category
    assert band is not None  # noqa: S101 - callers asked
    system = f"{BAND_SYSTEM}:{assessment.score.id}"
    return {
        "coding": [{"system": system, "code": band.name, "display": band.label.en}],
        "text": f"{_both(band.label)} ({_both(assessment.score.guideline)})",
    }


def _coding(code: Code) -> Resource:
    return {"system": code.system, "code": code.value, "display": code.display}


def _years(years: float) -> Resource:
    return {"value": years, "unit": "years", "system": codes.UCUM, "code": "a"}


def _quantity(unit: str, value: float) -> Resource:
    return {"value": value, "unit": unit, "system": codes.UCUM, "code": unit}


def _subject(person: Person) -> Resource:
    if person.subject is None:
        return {"display": "the person described in the request / 请求中所述人员"}
    return {"reference": person.subject}


def _basis(name: str, assessment: Assessment, person: Person) -> Resource:
    """Refer to the resources that the inputs were read from, each once.

    An observation may be derived from observations alone.
    """
    references: dict[str, None] = {}
    for used in assessment.inputs:
        fact = person.facts.get(used.name)
        if fact is None or fact.reference is None:
            continue
        if name == "basis" or fact.reference.startswith("Observation/"):
            references.setdefault(fact.reference)
    found = [{"reference": reference} for reference in references]
    return {name: found} if found else {}


def _what_ifs(assessment: Assessment) -> Resource:
    if not assessment.what_ifs:
        return {}
    return {"mitigation": " ".join(_both(what_if.told) for what_if in assessment.what_ifs)}


def _notes(assessment: Assessment) -> list[Resource]:
    score = assessment.score
    texts = [*assessment.alerts, *assessment.remarks, score.population, score.limits, NOTICE]
    return [{"text": _both(text)} for text in texts]


def _both(text: Text) -> str:
    return f"{text.en} / {text.zh}" if text.en != text.zh else text.en
