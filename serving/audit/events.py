"""One access or change, as it is recorded: who did what to which record, when, with what result.

An event identifies people who work with the system by their account and patients by pseudonym
alone. Every field that a program fills is a token without spaces, so that a name, an address or a
sentence cannot get in by mistake; what somebody wrote goes into `sealed_note`, encrypted.
"""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from models.errors import ZhuzhenError

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+=~-]{0,199}")
_SEALED = re.compile(r"[A-Za-z0-9_=.-]{1,8000}")
PSEUDONYM = re.compile(r"p-[a-z2-7]{26}")
"""What `serving.privacy.pseudonyms` makes of a patient's identifier."""
SERVICE_START, SERVICE_STOP = "service.start", "service.stop"
"""Operations of the events that the service records of itself (PS3.15 A.5.3.1)."""


class AuditEventError(ZhuzhenError, ValueError):
    """An event was built with a field that must not be recorded."""


class Action(StrEnum):
    """What was done: FHIR R4 AuditEvent.action, DICOM EventActionCode (PS3.15 A.5.1)."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"
    """Running something on records: a search, a pre-read, an assessment, a login."""


class Outcome(StrEnum):
    """How it ended."""

    ALLOWED = "allowed"
    DENIED = "denied"
    """Refused by the policy, or the caller could not say who it is."""
    FAILED = "failed"
    """Allowed, but it could not be carried out; nothing was disclosed or changed."""


class Purpose(StrEnum):
    """Why: the part of HL7 v3 PurposeOfUse that this service knows."""

    CARE = "care"
    SHARING = "sharing"
    RESEARCH = "research"
    EMERGENCY = "emergency"
    """Break-glass: an override that somebody has to look at afterwards."""
    OPERATIONS = "operations"
    """Running the service: accounts, keys, backup, configuration."""
    AUDIT = "audit"
    PATIENT_REQUEST = "patient_request"
    """The person asked for own data: disclosure report, export, erasure."""


FETCH = "fetch-"
"""What the identifier of a fetch begins with, wherever an event has one as its `object_id`."""


class Category(StrEnum):
    """What kind of thing happened, one for each event identifier used of DICOM PS3.16 CID 400."""

    APPLICATION_ACTIVITY = "application_activity"
    AUDIT_LOG_USED = "audit_log_used"
    DATA_EXPORT = "data_export"
    DATA_IMPORT = "data_import"
    INSTANCES_ACCESSED = "instances_accessed"
    INSTANCES_TRANSFERRED = "instances_transferred"
    ORDER_RECORD = "order_record"
    PATIENT_RECORD = "patient_record"
    QUERY = "query"
    SECURITY_ALERT = "security_alert"
    STUDY_DELETED = "study_deleted"
    USER_AUTHENTICATION = "user_authentication"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One access or change, allowed or denied.

    Raises:
        AuditEventError: a field holds what must not be recorded; the message does not repeat it.
    """

    category: Category
    action: Action
    outcome: Outcome
    operation: str
    """The service's own name of what was asked for, such as `recognize` or `accounts.create`."""
    actor: str
    """Account, API key or subject of a token, by its identifier; `anonymous` if it is not known."""
    role: str
    """Role that the actor acted in, `none` if it is not known."""
    purpose: Purpose
    institution: str | None = None
    """Institution that the actor acted for."""
    relation: str | None = None
    """Why the institution may see the record: own, referred, shared, break_glass."""
    patient: str | None = None
    """Pseudonym of the patient concerned."""
    object_type: str | None = None
    """What was accessed: `study`, `assessment`, `account`, `audit_log`..."""
    object_id: str | None = None
    """The service's identifier or digest of it; never one that a hospital gave."""
    reason: str | None = None
    """Machine name of why it was denied, failed or overridden, such as `no_consent`."""
    sealed_note: str | None = None
    """What a person wrote, encrypted (`serving.privacy`)."""
    source_address: str | None = None
    """IP address that the request came from."""
    request_id: str | None = None
    """The service's own identifier of the request; ties its events and log lines together."""
    event_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    occurred_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        if self.occurred_at.tzinfo is None:
            raise AuditEventError("occurred_at has no time zone; expected one, such as UTC.")
        for name in _TOKENS:
            value = getattr(self, name)
            if value is not None and not _TOKEN.fullmatch(value):
                raise AuditEventError(
                    f"{name} is not a token; expected 1 to 200 ASCII letters, digits or any of "
                    "._:@/+=~- without spaces. What somebody wrote belongs into sealed_note."
                )
        if self.patient is not None and not PSEUDONYM.fullmatch(self.patient):
            raise AuditEventError("patient is not a pseudonym; expected p- and 26 characters.")
        if self.sealed_note is not None and not _SEALED.fullmatch(self.sealed_note):
            raise AuditEventError("sealed_note is not sealed; expected what Keyring.seal gives.")
        if self.source_address is not None:
            _require_address(self.source_address)

    def canonical(self) -> bytes:
        """Return the event as RFC 8785 canonical JSON, which is what is hashed and stored."""
        found: dict[str, str] = {
            name: value for name in _WORDS if (value := getattr(self, name)) is not None
        }
        found["occurred_at"] = utc_text(self.occurred_at)
        return canonical_json(found)


_TOKENS = (
    "operation",
    "actor",
    "role",
    "institution",
    "relation",
    "object_type",
    "object_id",
    "reason",
    "request_id",
    "event_id",
)
_WORDS = tuple(item.name for item in fields(AuditEvent) if item.name != "occurred_at")
"""Every field that is text, or a member of an enumeration that is."""
_ENUMS: Mapping[str, type[StrEnum]] = {
    "category": Category,
    "action": Action,
    "outcome": Outcome,
    "purpose": Purpose,
}


def event_from(payload: bytes) -> AuditEvent:
    """Return the event that `canonical` made `payload` of.

    Raises:
        AuditEventError: `payload` is no such event.
    """
    try:
        found: dict[str, Any] = json.loads(payload)
        for name, kind in _ENUMS.items():
            found[name] = kind(found[name])
        found["occurred_at"] = datetime.fromisoformat(found["occurred_at"])
        return AuditEvent(**found)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, AuditEventError):
            raise
        raise AuditEventError("The stored event has a field missing or unknown.") from error


def canonical_json(value: Mapping[str, Any]) -> bytes:
    """Return `value` as RFC 8785 canonical JSON.

    Exact for what is used here: ASCII keys, strings, integers and containers of them. (Numbers with
    a fraction, which RFC 8785 section 3.2.2.3 writes as ECMAScript does, are never passed.)
    """
    return _ENCODER.encode(value).encode()


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def utc_text(moment: datetime) -> str:
    """Return `moment` in UTC with microseconds, of one length, so that text sorts by time."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


@lru_cache(maxsize=1024)
def _require_address(value: str) -> None:
    try:
        ip_address(value)
    except ValueError:
        raise AuditEventError("source_address is not an IPv4 or IPv6 address.") from None
