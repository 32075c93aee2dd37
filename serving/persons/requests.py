"""A person's requests: a copy of everything, or its erasure (PIPL articles 45 and 47).

What the law keeps stays: the audit record, consents and overrides, all of which hold pseudonyms.
A legal hold refuses the erasure. Both requests are events of the audit record; an erasure is
recorded before it begins and again with what it removed, so that it shows even if it is cut short.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from serving.audit import Action, AuditEvent, Category, Outcome, Purpose, Recorder
from serving.persons.person import Person, PersonalRecords
from serving.privacy.holds import LegalHoldError, require_no_hold


@dataclass(frozen=True, slots=True)
class Requester:
    """Who carries the request out, for the audit record."""

    actor: str
    role: str


def export_person(
    parts: Sequence[PersonalRecords],
    person: Person,
    target: Path,
    recorder: Recorder,
    requester: Requester,
) -> int:
    """Write everything that there is of `person` into the new zip file `target`; return how many.

    Raises:
        FileExistsError: there is a file of that name.
        AuditUnavailableError: it cannot be recorded; nothing was written.
    """
    event = _event(person, requester, Action.READ, Category.DATA_EXPORT, "person.export")
    recorder.record(event).wait()
    count = 0
    with target.open("xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        target.chmod(0o600)
        for part in parts:
            for copy in part.export(person):
                archive.writestr(copy.name, copy.content)
                count += 1
    return count


def erase_person(
    engine: Engine,
    parts: Sequence[PersonalRecords],
    person: Person,
    recorder: Recorder,
    requester: Requester,
) -> dict[str, int]:
    """Remove everything of `person` but what the law keeps; return how much of each part.

    Raises:
        LegalHoldError: a hold forbids it; nothing was removed.
        AuditUnavailableError: it cannot be recorded; nothing was removed.
    """
    operation = "person.erase"
    try:
        require_no_hold(engine, person.pseudonym)
    except LegalHoldError:
        refused = _event(
            person,
            requester,
            Action.DELETE,
            Category.PATIENT_RECORD,
            operation,
            outcome=Outcome.DENIED,
            reason="legal_hold",
        )
        recorder.record(refused).wait()
        raise
    begun = _event(person, requester, Action.DELETE, Category.PATIENT_RECORD, operation)
    recorder.record(begun).wait()
    removed = {part.name: part.erase(person) for part in parts}
    done = _event(
        person,
        requester,
        Action.DELETE,
        Category.PATIENT_RECORD,
        f"{operation}.done",
        reason=f"removed:{sum(removed.values())}",
    )
    recorder.record(done).wait()
    return removed


def _event(
    person: Person,
    requester: Requester,
    action: Action,
    category: Category,
    operation: str,
    *,
    outcome: Outcome = Outcome.ALLOWED,
    reason: str | None = None,
) -> AuditEvent:
    return AuditEvent(
        category=category,
        action=action,
        outcome=outcome,
        operation=operation,
        actor=requester.actor,
        role=requester.role,
        purpose=Purpose.PATIENT_REQUEST,
        institution=person.institution,
        patient=person.pseudonym,
        object_type="person",
        reason=reason,
    )
