"""The record of every access and change: append-only, hash-chained, signed."""

from serving.audit.events import (
    Action,
    AuditEvent,
    AuditEventError,
    Category,
    Outcome,
    Purpose,
)
from serving.audit.recorder import AuditUnavailableError, Receipt, Recorder

__all__ = [
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
