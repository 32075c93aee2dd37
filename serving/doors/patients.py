"""How bodies of requests name a patient: by pseudonym, or by number and who gave it."""

from typing import Any

from serving.access import Access, Guard
from serving.audit.events import PSEUDONYM
from serving.privacy import pseudonym_of

NUMBER = {"type": "string", "minLength": 1, "maxLength": 64}
PATIENT: dict[str, Any] = {
    "description": "A pseudonym of this service, or the patient's number with the institution that "
    "gave it (or what images say did: DICOM 0010,0021).",
    "oneOf": [
        {"type": "string", "pattern": f"^{PSEUDONYM.pattern}$"},
        {
            "type": "object",
            "required": ["issuer", "identifier"],
            "additionalProperties": False,
            "properties": {"issuer": NUMBER, "identifier": NUMBER},
        },
    ],
}
"""JSON schema."""


def pseudonym_in(guard: Guard, given: str | dict[str, str]) -> str:
    """Return the pseudonym of the patient that a body with `PATIENT` names."""
    if isinstance(given, str):
        return given
    return pseudonym_of(guard.keyring, given["issuer"], given["identifier"])


def patient_numbered(access: Access, number: str | None) -> str | None:
    """Return the pseudonym of a patient with a number that who asks gave it, None for none."""
    if number is None or not number.strip():
        return None
    return pseudonym_of(access.guard.keyring, access.actor.institution or "-", number)
