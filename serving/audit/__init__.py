"""The record of every access and change: append-only, hash-chained, signed."""

from serving.audit.events import (
    SERVICE_START,
    SERVICE_STOP,
    Action,
    AuditEvent,
    AuditEventError,
    Category,
    Outcome,
    Purpose,
)
from serving.audit.recorder import AuditUnavailableError, Receipt, Recorder

__all__ = [
    "SERVICE_START",
    "SERVICE_STOP",
    "Action",
    "AuditEvent",
    "AuditEventError",
    "AuditUnavailableError",
    "Category",
    "Outcome",
    "Purpose",
    "Receipt",
    "Recorder",
]
