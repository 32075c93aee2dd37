"""Events as DICOM audit messages (PS3.15 2026c, A.5.1), the form that RFC 3881 began.

One XML document an event, as audit record repositories take them over syslog (PS3.15 A.6, A.7).
"""

import base64
from xml.etree.ElementTree import Element, SubElement, tostring

from serving.audit.event_codes import (
    EVENT_IDS,
    EVENT_TYPES,
    LIFE_CYCLES,
    OUTCOMES,
    PURPOSES,
    Coded,
    outcome_description,
)
from serving.audit.events import AuditEvent, utc_text

_SOURCE = "zhuzhen"


def as_dicom_message(event: AuditEvent) -> str:
    """Return `event` as an AuditMessage document on one line."""
    message = Element("AuditMessage")
    identification = SubElement(
        message,
        "EventIdentification",
        EventActionCode=event.action.value,
        EventDateTime=utc_text(event.occurred_at),
        EventOutcomeIndicator=OUTCOMES[event.outcome].value,
    )
    _coded(identification, "EventID", EVENT_IDS[event.category], "DCM")
    own = Coded(event.operation, event.operation)
    standard = EVENT_TYPES.get(event.operation)
    _coded(identification, "EventTypeCode", standard or own, "DCM" if standard else "99ZHUZHEN")
    if description := outcome_description(event):
        SubElement(identification, "EventOutcomeDescription").text = description
    _participants(message, event)
    source = SubElement(message, "AuditSourceIdentification", AuditSourceID=_SOURCE)
    # 4: application server process (A.5.1.2.1).
    SubElement(source, "AuditSourceTypeCode", {"csd-code": "4"})
    _objects(message, event)
    return tostring(message, encoding="unicode")


def _participants(message: Element, event: AuditEvent) -> None:
    person = SubElement(message, "ActiveParticipant", UserID=event.actor, UserIsRequestor="true")
    if event.source_address:
        person.set("NetworkAccessPointID", event.source_address)
        person.set("NetworkAccessPointTypeCode", "2")
    _coded(person, "RoleIDCode", Coded(event.role, event.role), "99ZHUZHEN")
    if event.institution:
        institution = SubElement(
            message, "ActiveParticipant", UserID=event.institution, UserIsRequestor="false"
        )
        _coded(institution, "RoleIDCode", Coded("institution", "institution"), "99ZHUZHEN")


def _objects(message: Element, event: AuditEvent) -> None:
    """The patient, and what was accessed; the schema wants a name for each, which is the same."""
    if event.patient:
        patient = _object(message, event.patient, type_code="1", role="1")
        # PS3.16 CID 404 has "Patient Number" for identifiers of patients; this is the pseudonym.
        _coded(patient, "ParticipantObjectIDTypeCode", Coded("2", "Patient Number"), "RFC-3881")
        SubElement(patient, "ParticipantObjectName").text = event.patient
        _details(patient, event)
    if event.object_id:
        stored = _object(message, event.object_id, type_code="2", role="4")
        stored.set("ParticipantObjectDataLifeCycle", LIFE_CYCLES[event.action].value)
        kind = event.object_type or "object"
        _coded(stored, "ParticipantObjectIDTypeCode", Coded(kind, kind), "99ZHUZHEN")
        SubElement(stored, "ParticipantObjectName").text = kind
        if not event.patient:
            _details(stored, event)


def _object(message: Element, identifier: str, *, type_code: str, role: str) -> Element:
    return SubElement(
        message,
        "ParticipantObjectIdentification",
        ParticipantObjectID=identifier,
        ParticipantObjectTypeCode=type_code,
        ParticipantObjectTypeCodeRole=role,
    )


def _details(parent: Element, event: AuditEvent) -> None:
    details = {
        "event": event.event_id,
        "purpose": PURPOSES[event.purpose].value,
        "relation": event.relation,
        "request": event.request_id,
    }
    for name, value in details.items():
        if value:
            encoded = base64.b64encode(value.encode()).decode()
            SubElement(parent, "ParticipantObjectDetail", type=name, value=encoded)


def _coded(parent: Element, name: str, code: Coded, system: str) -> None:
    SubElement(
        parent,
        name,
        {"csd-code": code.value, "codeSystemName": system, "originalText": code.meaning},
    )
