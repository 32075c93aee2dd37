"""Events as FHIR R4 AuditEvent (https://hl7.org/fhir/R4/auditevent.html).

Patients appear as pseudonyms under a logical identifier, people as the identifiers of their
accounts; there is no name in any of them.
"""

from typing import Any

from serving.audit.event_codes import (
    ACT_REASON,
    DCM,
    EVENT_IDS,
    LIFE_CYCLES,
    OUTCOMES,
    PURPOSES,
    Coded,
    outcome_description,
)
from serving.audit.events import AuditEvent, utc_text

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
_OBSERVER = "zhuzhen"


def as_fhir(event: AuditEvent) -> dict[str, Any]:
    """Return `event` as a FHIR R4 AuditEvent resource."""
    purpose = [{"coding": [_coding(ACT_REASON, PURPOSES[event.purpose])]}]
    resource: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": event.event_id,
        "type": _coding(DCM, EVENT_IDS[event.category]),
        "subtype": [{"code": event.operation}],
        "action": event.action.value,
        "recorded": utc_text(event.occurred_at),
        "outcome": OUTCOMES[event.outcome].value,
        "purposeOfEvent": purpose,
        "agent": _agents(event),
        "source": {
            "observer": {"identifier": {"value": _OBSERVER}, "display": "Zhuzhen"},
            "type": [
                _coding(f"{_TERMINOLOGY}security-source-type", Coded("4", "Application Server"))
            ],
        },
    }
    if description := outcome_description(event):
        resource["outcomeDesc"] = description
    if entities := _entities(event):
        resource["entity"] = entities
    return resource


def _agents(event: AuditEvent) -> list[dict[str, Any]]:
    person: dict[str, Any] = {
        "role": [{"text": event.role}],
        "who": {"identifier": {"value": event.actor}},
        "requestor": True,
    }
    if event.source_address:
        person["network"] = {"address": event.source_address, "type": "2"}
    if event.institution is None:
        return [person]
    institution = {
        "who": {"type": "Organization", "identifier": {"value": event.institution}},
        "requestor": False,
    }
    return [person, institution]


def _entities(event: AuditEvent) -> list[dict[str, Any]]:
    found = []
    if event.patient:
        found.append(_entity("Patient", event.patient, Coded("1", "Person"), Coded("1", "Patient")))
    if event.object_id:
        stored = _entity(
            None, event.object_id, Coded("2", "System Object"), Coded("4", "Domain Resource")
        )
        stored["lifecycle"] = _coding(
            "http://terminology.hl7.org/CodeSystem/dicom-audit-lifecycle",
            LIFE_CYCLES[event.action],
        )
        if event.object_type:
            stored["name"] = event.object_type
        found.append(stored)
    details = [
        {"type": name, "valueString": value}
        for name, value in (("request", event.request_id), ("relation", event.relation))
        if value
    ]
    if details and found:
        found[-1]["detail"] = details
    return found


def _entity(kind: str | None, identifier: str, what: Coded, role: Coded) -> dict[str, Any]:
    reference: dict[str, Any] = {"identifier": {"value": identifier}}
    if kind:
        reference["type"] = kind
    return {
        "what": reference,
        "type": _coding(f"{_TERMINOLOGY}audit-entity-type", what),
        "role": _coding(f"{_TERMINOLOGY}object-role", role),
    }


def _coding(system: str, code: Coded) -> dict[str, str]:
    return {"system": system, "code": code.value, "display": code.meaning}
