"""What the commands on the quarantine do, as the operator of the machine."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from re import fullmatch
from typing import Any

from sqlalchemy import Row

from models.errors import ZhuzhenError
from serving.access import POST, Guard
from serving.archive import Archive
from serving.archive.entries import Entry
from serving.archive.patients import patient_of, said_of_patient
from serving.archive.quarantined import (
    QuarantineLine,
    find_quarantined,
    forget_quarantined,
    list_quarantined,
)
from serving.cli.operating import operating, permit
from serving.identity.local import LOCAL
from serving.jobs.accepting import Accepted, read_candidate, study_known
from serving.jobs.accepting import accept as accept_candidate
from serving.node.access import study_target
from serving.objects import ObjectStore, open_objects
from serving.policy import Action, Target
from serving.privacy.holds import REASON
from serving.records import writing


class ReasonError(ZhuzhenError, ValueError):
    """What was given as a reason is not one word."""


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
        # Who has acknowledged the same file must have it in the index.
        with closing(Archive(guard.engine, objects, guard.keyring)) as archive:
            archive.settle()
        with writing(guard.engine) as connection:
            digest = forget_quarantined(connection, number)
        if digest is not None:
            objects.delete(digest)


def accept(number: int, reason: str, *, whole_study: bool) -> Accepted:
    """Put one in the place of what is known; see `serving.jobs.accepting.accept`.

    Raises:
        ReasonError: the reason is not one word.
        NotInQuarantineError: there is none.
        NotAcceptableError: it cannot be, and what to do instead.
        NotPermittedError: the policy does not allow it.
    """
    if not fullmatch(REASON, reason):
        raise ReasonError(
            "The reason is not one word; expected a machine name such as sent_again_corrected, or "
            "the number of a file, up to 64 letters, digits or any of ._-, and nothing of the "
            "patient."
        )
    with (
        _about(number, "node.accept-quarantined", reason) as (guard, _, objects),
        closing(Archive(guard.engine, objects, guard.keyring)) as archive,
    ):
        candidate = read_candidate(archive, number)
        if whole_study:
            _note_whose(guard, archive, candidate.entry, reason)
        return accept_candidate(archive, candidate, whole_study=whole_study)


def _note_whose(guard: Guard, archive: Archive, entry: Entry, reason: str) -> None:
    """Have it on record as that of the patient, too, whose study is set aside."""
    with archive.reading() as connection:
        study = study_known(connection, entry)
        if study is None:
            return
        target = study_target(connection, guard.keyring, study.id)
    _permit(guard, "node.accept-quarantined", target, reason)


@contextmanager
def _about(
    number: int, operation: str, reason: str | None = None
) -> Iterator[tuple[Guard, Row[Any], ObjectStore]]:
    """Have it on record, as the patient's where it says whose it is, that the operator does it."""
    with POST.manned() as guard:
        objects = open_objects(keyring=guard.keyring)
        with guard.engine.connect() as connection:
            row = find_quarantined(connection, number)
        said = said_of_patient(objects.get(row.digest), row.transfer_syntax_uid)
        patient = patient_of(row.institution, said, guard.keyring)
        _permit(
            guard,
            operation,
            Target("image", row.institution, patient, f"quarantine-{number}"),
            reason,
        )
        yield guard, row, objects


def _permit(guard: Guard, operation: str, target: Target, reason: str | None) -> None:
    """Have it on disk that the operator does `operation`, for a `reason` if one was given."""
    institution = str(target.institution)
    with operating(guard, operation, Action.MANAGE_QUARANTINE, institution) as access:
        access.require(target, reason=reason)
        access.settle()
