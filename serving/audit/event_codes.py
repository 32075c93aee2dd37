"""How the standards call what the record calls by its own names.

Tables from DICOM PS3.16 2026c, CID 400 (event identifiers), CID 401 (event
types) and PS3.15 A.5.1.2 (life cycle), and
from the code systems that FHIR R4 (4.0.1) binds AuditEvent to: v3 ActReason, audit-event-outcome,
dicom-audit-lifecycle (whose wording is used).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from serving.audit.events import (
    SERVICE_START,
    SERVICE_STOP,
    Action,
    AuditEvent,
    Category,
    Outcome,
    Purpose,
)

DCM = "http://dicom.nema.org/resources/ontology/DCM"
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"


@dataclass(frozen=True, slots=True)
class Coded:
    """A code and what it means."""

    value: str
    meaning: str


EVENT_IDS: Mapping[Category, Coded] = {
    Category.APPLICATION_ACTIVITY: Coded("110100", "Application Activity"),
    Category.AUDIT_LOG_USED: Coded("110101", "Audit Log Used"),
    Category.INSTANCES_ACCESSED: Coded("110103", "DICOM Instances Accessed"),
    Category.INSTANCES_TRANSFERRED: Coded("110104", "DICOM Instances Transferred"),
    Category.STUDY_DELETED: Coded("110105", "DICOM Study Deleted"),
    Category.DATA_EXPORT: Coded("110106", "Export"),
    Category.DATA_IMPORT: Coded("110107", "Import"),
    Category.ORDER_RECORD: Coded("110109", "Order Record"),
    Category.PATIENT_RECORD: Coded("110110", "Patient Record"),
    Category.QUERY: Coded("110112", "Query"),
    Category.SECURITY_ALERT: Coded("110113", "Security Alert"),
    Category.USER_AUTHENTICATION: Coded("110114", "User Authentication"),
}

EVENT_TYPES: Mapping[str, Coded] = {
    SERVICE_START: Coded("110120", "Application Start"),
    SERVICE_STOP: Coded("110121", "Application Stop"),
}
"""Operations for which CID 401 has a code."""

PURPOSES: Mapping[Purpose, Coded] = {
    Purpose.CARE: Coded("TREAT", "treatment"),
    Purpose.SHARING: Coded("COC", "coordination of care"),
    Purpose.RESEARCH: Coded("HRESCH", "healthcare research"),
    Purpose.EMERGENCY: Coded("BTG", "break the glass"),
    Purpose.OPERATIONS: Coded("HSYSADMIN", "health system administration"),
    Purpose.AUDIT: Coded("HCOMPL", "health compliance"),
    Purpose.PATIENT_REQUEST: Coded("PATRQT", "patient requested"),
}

OUTCOMES: Mapping[Outcome, Coded] = {
    Outcome.ALLOWED: Coded("0", "Success"),
    # Both end the action (RFC 3881, section 5.1.4); the description says which it was.
    Outcome.DENIED: Coded("8", "Serious failure"),
    Outcome.FAILED: Coded("8", "Serious failure"),
}

LIFE_CYCLES: Mapping[Action, Coded] = {
    Action.CREATE: Coded("1", "Origination / Creation"),
    Action.READ: Coded("6", "Access / Use"),
    Action.UPDATE: Coded("3", "Amendment"),
    Action.DELETE: Coded("15", "Permanent erasure / Physical destruction"),
    Action.EXECUTE: Coded("6", "Access / Use"),
}


def outcome_description(event: AuditEvent) -> str | None:
    """Return why an action was not carried out, `None` where it was."""
    if event.outcome is Outcome.ALLOWED:
        return None
    return f"{event.outcome}: {event.reason}" if event.reason else str(event.outcome)
