"""What the commands on the quarantine do, as the operator of the machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Row

from serving.access import POST, Guard
from serving.archive.patients import patient_of, said_of_patient
from serving.archive.quarantined import (
    QuarantineLine,
    find_quarantined,
    forget_quarantined,
    list_quarantined,
)
from serving.cli.operating import permit
from serving.identity.local import LOCAL
from serving.objects import ObjectStore, open_objects
from serving.policy import Action, Target
from serving.records import writing


def show(limit: int) -> list[QuarantineLine]:
    """Return what lies in quarantine, of all institutions.

    Raises:
        NotPermittedError: the policy does not allow it.
    """
    with POST.manned() as guard:
        found = list_quarantined(guard.engine, limit)
        for institution in {line.institution for line in found} or {LOCAL}:
            permit(
                guard,
                "node.quarantine",
                Action.MANAGE_QUARANTINE,
                Target("image", institution),
                institution=institution,
            )
        return found


def save(number: int, file: Path) -> None:
    """Write one into a new `file`, as it was sent.

    Raises:
        NotInQuarantineError: there is none.
        ObjectNotFoundError: its object is gone.
        NotPermittedError: the policy does not allow it.
    """
    with _about(number, "node.save-quarantined") as (_, row, objects), file.open("xb") as stream:
        stream.write(objects.get(row.digest))


def discard(number: int) -> None:
    """Remove one for good.

    Raises:
        NotInQuarantineError: there is none.
        NotPermittedError: the policy does not allow it.
    """
    with _about(number, "node.discard-quarantined") as (guard, _, objects):
        with writing(guard.engine) as connection:
            digest = forget_quarantined(connection, number)
        if digest is not None:
            objects.delete(digest)


@contextmanager
def _about(number: int, operation: str) -> Iterator[tuple[Guard, Row[Any], ObjectStore]]:
    """Have it on record, as the patient's where it says whose it is, that the operator does it."""
    with POST.manned() as guard:
        objects = open_objects(keyring=guard.keyring)
        with guard.engine.connect() as connection:
            row = find_quarantined(connection, number)
        said = said_of_patient(objects.get(row.digest), row.transfer_syntax_uid)
        patient = patient_of(row.institution, said, guard.keyring)
        target = Target("image", row.institution, patient, f"quarantine-{number}")
        permit(guard, operation, Action.MANAGE_QUARANTINE, target, institution=str(row.institution))
        yield guard, row, objects
