"""What `zhuzhen person` does."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from sqlalchemy import Engine

from models.errors import ZhuzhenError
from serving.answers import write_json
from serving.audit import Action, AuditEvent, Category, Outcome, Purpose, Recorder
from serving.audit.opening import recording
from serving.identity.local import operator
from serving.objects import open_objects
from serving.persons import Person, erase_person, export_person
from serving.persons.images import ArchivedImages
from serving.persons.person import PersonalRecords
from serving.persons.requests import Requester
from serving.persons.tables import TableRows
from serving.privacy import Keyring, open_keyring
from serving.privacy.holds import lift_hold, place_hold
from serving.records import database_url, open_engine, upgrade


class PersonCommandError(ZhuzhenError, ValueError):
    """The command was given something that it cannot use."""


@dataclass(frozen=True, slots=True)
class _Installation:
    engine: Engine
    keyring: Keyring
    recorder: Recorder
    parts: tuple[PersonalRecords, ...]
    requester: Requester


@contextmanager
def _opened() -> Iterator[_Installation]:
    keyring = open_keyring()
    engine = open_engine(database_url())
    try:
        upgrade(engine)
        parts = (ArchivedImages(engine, keyring, open_objects(keyring=keyring)), TableRows(engine))
        with recording(keyring) as recorder:
            requester = Requester(operator().id, "operator")
            yield _Installation(engine, keyring, recorder, parts, requester)
    finally:
        engine.dispose()


def export(target: Path, institution: str, number_file: Path, *, as_json: bool) -> int:
    """Write a copy of everything of a person into `target`."""
    with _opened() as found:
        person = Person.of(found.keyring, institution, _number(number_file))
        count = export_person(found.parts, person, target, found.recorder, found.requester)
    typer.echo(write_json({"files": count}) if as_json else f"{target}: {count} files.")
    return 0


def erase(institution: str, number_file: Path, *, as_json: bool) -> int:
    """Remove everything of a person but what the law keeps."""
    with _opened() as found:
        person = Person.of(found.keyring, institution, _number(number_file))
        removed = erase_person(found.engine, found.parts, person, found.recorder, found.requester)
    told = ", ".join(f"{count} of {name}" for name, count in removed.items())
    typer.echo(write_json({"removed": removed}) if as_json else f"Removed: {told}.")
    return 0


def hold(institution: str, number_file: Path, reason: str, *, as_json: bool) -> int:
    """Place a legal hold."""
    with _opened() as found:
        person = Person.of(found.keyring, institution, _number(number_file))
        # Recorded first: a word that is no token must not be stored either.
        found.recorder.record(_event("person.hold", person.pseudonym, Action.CREATE, reason)).wait()
        placed = place_hold(found.engine, person.pseudonym, reason, operator().id)
    typer.echo(write_json({"hold": placed.id}) if as_json else f"Hold {placed.id} is in force.")
    return 0


def lift(hold_id: str, *, as_json: bool) -> int:
    """Lift a legal hold."""
    with _opened() as found:
        lifted = lift_hold(found.engine, hold_id)
        found.recorder.record(
            _event("person.lift", lifted.patient, Action.UPDATE, lifted.reason)
        ).wait()
    typer.echo(write_json({"lifted": hold_id}) if as_json else f"Hold {hold_id} is lifted.")
    return 0


def _event(operation: str, patient: str, action: Action, reason: str) -> AuditEvent:
    return AuditEvent(
        category=Category.PATIENT_RECORD,
        action=action,
        outcome=Outcome.ALLOWED,
        operation=operation,
        actor=operator().id,
        role="operator",
        purpose=Purpose.OPERATIONS,
        patient=patient,
        object_type="legal_hold",
        reason=reason,
    )


def _number(path: Path) -> str:
    number = (sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")).strip()
    if not number:
        raise PersonCommandError("The file holds no number; expected the patient's number.")
    return number
