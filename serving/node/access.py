"""The node's associations and jobs before the policy, and in the audit record."""

import contextlib
from collections.abc import Iterator

from sqlalchemy import Connection, select

from models.errors import ZhuzhenError
from serving.access import ANONYMOUS, Access, Guard
from serving.archive import Archive
from serving.archive.entries import unsealed
from serving.archive.header import Attributes
from serving.archive.patients import patient_of
from serving.archive.tables import STUDIES
from serving.audit import AuditUnavailableError, Outcome
from serving.jobs.tables import JOBS
from serving.policy import Action, Actor, ActorKind, Role, Target
from serving.privacy import Keyring
from serving.problems import Problem
from serving.routing import Source

_NODE = "node"


class NotPermittedError(ZhuzhenError):
    """The policy forbids what a job wants to do."""


def study_target(connection: Connection, keyring: Keyring, study_id: int) -> Target:
    """Return a study as the policy and the audit record know it."""
    row = connection.execute(select(STUDIES).where(STUDIES.c.id == study_id)).one()
    return target_of(row.institution, study_id, unsealed(keyring, row.attributes, STUDIES), keyring)


def target_of(institution: str, study_id: int, attributes: Attributes, keyring: Keyring) -> Target:
    """Return a study as the policy and the audit record know it, by its index attributes."""
    patient = patient_of(institution, attributes, keyring)
    return Target("study", institution, patient, f"study-{study_id}")


class Gatekeeper:
    """Asks the policy for everything that the node does without an HTTP request."""

    def __init__(self, guard: Guard, archive: Archive) -> None:
        self._guard = guard
        self._archive = archive

    def admit(self, source: Source, address: str) -> bool:
        """Whether `source` may open an association and store instances.

        Raises:
            AuditUnavailableError: it cannot be recorded.
        """
        access = self._as_source(source, address)
        return _refusal(access, access.own("study")) is None

    def turn_away(self, address: str, why: str) -> None:
        """Record that somebody unknown, or unwelcome, was rejected; `why` is a machine name.

        Raises:
            AuditUnavailableError: it cannot be recorded.
        """
        access = self._guard.act(ANONYMOUS, "c-store", Action.STORE_IMAGES)
        access.source_address = address
        with _told_by_the_record():
            access.note_result(Outcome.DENIED, why)
        access.settle()

    def received(self, source: Source, study_id: int) -> None:
        """Record that a study of `source` is complete.

        Raises:
            AuditUnavailableError: it cannot be recorded.
        """
        access = self._as_source(source, None)
        with self._archive.engine.connect() as connection:
            target = study_target(connection, self._archive.keyring, study_id)
        _refusal(access, target)

    def permit(self, action: str, job_id: str) -> None:
        """Go on only if the node may do `action` for the job.

        Raises:
            NotPermittedError: it may not.
            AuditUnavailableError: it cannot be recorded.
        """
        with self._archive.engine.connect() as connection:
            job = connection.execute(
                select(JOBS.c.institution, JOBS.c.study_id).where(JOBS.c.id == job_id)
            ).one()
            target = study_target(connection, self._archive.keyring, job.study_id)
        actor = Actor(_NODE, ActorKind.PROGRAM, frozenset({Role.SYSTEM}), job.institution)
        _require(self._guard.act(actor, action, Action(action)), target)

    def permit_fetch(self, institution: str) -> None:
        """Go on only if the node may fetch a study for `institution`.

        Raises:
            NotPermittedError: it may not.
            AuditUnavailableError: it cannot be recorded.
        """
        actor = Actor(_NODE, ActorKind.PROGRAM, frozenset({Role.SYSTEM}), institution)
        access = self._guard.act(actor, "fetch", Action.FETCH_STUDY)
        _require(access, access.own("study"))

    def _as_source(self, source: Source, address: str | None) -> Access:
        actor = Actor(
            f"source:{source.name}",
            ActorKind.PROGRAM,
            frozenset({Role.SYSTEM}),
            source.institution,
        )
        access = self._guard.act(actor, "c-store", Action.STORE_IMAGES)
        access.source_address = address
        return access


@contextlib.contextmanager
def _told_by_the_record() -> Iterator[None]:
    """Raise what the audit record says where HTTP would answer 503 for it."""
    try:
        yield
    except Problem as problem:
        if isinstance(problem.__cause__, AuditUnavailableError):
            raise problem.__cause__ from None
        raise


def _refusal(access: Access, target: Target) -> Problem | None:
    """Return why the policy forbids something, None where it does not; either is recorded.

    Raises:
        AuditUnavailableError: it cannot be recorded.
    """
    refused = None
    try:
        with _told_by_the_record():
            access.require(target)
    except Problem as problem:
        refused = problem
    access.settle()
    return refused


def _require(access: Access, target: Target) -> None:
    refused = _refusal(access, target)
    if refused is not None:
        raise NotPermittedError(str(refused))
