"""Events as lines of text, in each form that they leave the service in."""

import json
from collections.abc import Callable, Mapping

from serving.audit.dicom_messages import as_dicom_message
from serving.audit.events import AuditEvent
from serving.audit.fhir_events import as_fhir


def _fhir(event: AuditEvent) -> str:
    return json.dumps(as_fhir(event), ensure_ascii=False)


def _json(event: AuditEvent) -> str:
    return event.canonical().decode()


FORMATS: Mapping[str, Callable[[AuditEvent], str]] = {
    "fhir": _fhir,
    "dicom": as_dicom_message,
    "json": _json,
}
"""By the name that the command and the route know them by."""


def write_event(event: AuditEvent, format_: str) -> str:
    """Return `event` on one line in one of `FORMATS`."""
    return FORMATS[format_](event)
