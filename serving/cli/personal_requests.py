"""What `zhuzhen person` does, and how its commands name a patient."""

import re
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import typer

from models.errors import ZhuzhenError
from serving.access import open_guard
from serving.answers import write_json
from serving.cli.operating import operating, permit
from serving.cli.rows import show_rows
from serving.doors.persons import hold_json
from serving.identity.local import operator
from serving.persons import Person, erase_person, export_person, personal_records
from serving.policy import Action, Target
from serving.privacy import Keyring
from serving.privacy.holds import REASON, find_hold, lift_hold, list_holds, place_hold


class PersonCommandError(ZhuzhenError, ValueError):
    """The command was given something that it cannot use."""


@dataclass(frozen=True, slots=True)
class Whose:
    """A patient as a command names one."""

    institution: str
    number_file: Path
    """Holds the patient's number; `-` is standard input."""
    issuer: str | None = None
    """Who gave the number, where it is not the institution."""

    def person(self, keyring: Keyring) -> Person:
        """Return the patient.

        Raises:
            PersonCommandError: the file holds no number.
        """
        path = self.number_file
        number = (sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")).strip()
        if not number:
            raise PersonCommandError("The file holds no number; expected the patient's number.")
        return Person.of(keyring, self.institution, number, self.issuer)


def export(target: Path, whose: Whose, *, as_json: bool) -> None:
    """Write a copy of everything of a person into `target`."""
    with (
        open_guard() as guard,
        operating(guard, "person.export", Action.EXPORT_PERSON, whose.institution) as access,
    ):
        parts, person = personal_records(guard.engine, guard.keyring), whose.person(guard.keyring)
        with target.open("xb") as file:
            target.chmod(0o600)
            for piece in export_person(access, parts, person):
                file.write(piece)
    with zipfile.ZipFile(target) as archive:
        count = len(archive.namelist())
    typer.echo(write_json({"files": count}) if as_json else f"{target}: {count} files.")


def erase(whose: Whose, *, as_json: bool) -> None:
    """Remove everything of a person but what the law keeps."""
    with (
        open_guard() as guard,
        operating(guard, "person.erase", Action.ERASE_PERSON, whose.institution) as access,
    ):
        parts, person = personal_records(guard.engine, guard.keyring), whose.person(guard.keyring)
        removed = erase_person(access, parts, person)
    told = ", ".join(f"{count} of {name}" for name, count in removed.items())
    typer.echo(write_json({"removed": removed}) if as_json else f"Removed: {told}.")


def hold(whose: Whose, reason: str, *, as_json: bool) -> None:
    """Place a legal hold."""
    if not re.fullmatch(REASON, reason):
        raise PersonCommandError(
            "The reason is not one word; expected a machine name or the number of a file, up to 64 "
            "letters, digits or any of ._-, and nothing of the person."
        )
    with open_guard() as guard:
        patient = whose.person(guard.keyring).pseudonym
        target = Target("legal_hold", None, patient)
        permit(guard, "person.hold", Action.HOLD_RECORDS, target, institution=whose.institution)
        placed = place_hold(guard.engine, patient, reason, operator().id)
    typer.echo(write_json({"hold": placed.id}) if as_json else f"Hold {placed.id} is in force.")


def show_holds(*, as_json: bool) -> None:
    """List legal holds."""
    with open_guard() as guard:
        permit(guard, "person.holds", Action.HOLD_RECORDS, Target("legal_hold"))
        found = [hold_json(one) for one in list_holds(guard.engine)]
    show_rows(found, ("id", "patient", "reason", "placed_at", "lifted_at"), as_json=as_json)


def lift(hold_id: str, *, as_json: bool) -> None:
    """Lift a legal hold."""
    with open_guard() as guard:
        found = find_hold(guard.engine, hold_id)
        target = Target("legal_hold", None, found.patient, f"hold-{found.id}")
        permit(guard, "person.lift", Action.HOLD_RECORDS, target)
        lift_hold(guard.engine, hold_id)
    typer.echo(write_json({"lifted": hold_id}) if as_json else f"Hold {hold_id} is lifted.")
