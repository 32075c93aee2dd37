"""The node's associations and jobs before the policy, and in the audit record."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import Connection, select

from models.errors import ZhuzhenError
from serving.access import ANONYMOUS, Access, Guard
from serving.archive import Origin
from serving.archive.entries import unsealed
from serving.archive.header import Attributes
from serving.archive.patients import patient_of
from serving.archive.tables import STUDIES
from serving.audit import AuditUnavailableError, Outcome
from serving.jobs.errors import JobGoneError
from serving.jobs.tables import JOBS
from serving.policy import Action, Actor, ActorKind, Role, Target
from serving.privacy import Keyring
from serving.problems import Problem
from serving.routing import Source

_NODE = "node"
_ACTOR = re.compile(r"[a-z]+:")
"""What begins so is no name of a source in `node.yaml`, but whoever stored something over HTTP."""


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

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

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
        with self._guard.engine.connect() as connection:
            target = study_target(connection, self._guard.keyring, study_id)
        _refusal(access, target)

    def set_apart(self, origin: Origin, why: str, said: Attributes) -> None:
        """Record that something from `origin` goes into quarantine for `why`, a machine name.

        It is the patient's whom the attributes that it `said` name, as far as any could be read.

        Raises:
            AuditUnavailableError: it cannot be recorded.
        """
        name = origin.source if _ACTOR.match(origin.source) else f"source:{origin.source}"
        access = self._as_program(name, origin.institution, "quarantine", Action.STORE_IMAGES)
        patient = patient_of(origin.institution, said, self._guard.keyring)
        with _told_by_the_record():
            access.note_result(Outcome.FAILED, why, access.own("instance", patient))
        access.settle()

    def permit(self, action: str, job_id: str, destination: str = "") -> None:
        """Go on only if the node may do `action` for the job; delivering, to `destination`.

        Raises:
            NotPermittedError: it may not.
            JobGoneError: its study was erased.
            AuditUnavailableError: it cannot be recorded.
        """
        _require(*self._of_job(action, job_id, destination))

    def failed(self, action: str, job_id: str, destination: str = "") -> None:
        """Record that what was permitted before did not come about.

        Raises:
            JobGoneError: its study was erased.
            AuditUnavailableError: it cannot be recorded.
        """
        access, target = self._of_job(action, job_id, destination)
        with _told_by_the_record():
            access.note_result(
                Outcome.FAILED, "not_delivered" if destination else "not_read", target
            )
        access.settle()

    def permit_fetch(self, institution: str, fetch_id: str) -> None:
        """Go on only if the node may try a fetch for `institution`.

        Raises:
            NotPermittedError: it may not.
            AuditUnavailableError: it cannot be recorded.
        """
        access = self._as_program(_NODE, institution, "fetch", Action.FETCH_STUDY)
        _require(access, Target("study", institution, object_id=fetch_id))

    def fetched(self, institution: str, fetch_id: str, study_uid: str) -> None:
        """Record whose study a fetch has brought, which nobody may have known before.

        Raises:
            AuditUnavailableError: it cannot be recorded.
        """
        of_study = STUDIES.c.institution == institution, STUDIES.c.study_uid == study_uid
        with self._guard.engine.connect() as connection:
            row = connection.execute(select(STUDIES.c.id).where(*of_study)).first()
            if row is None:
                return
            target = study_target(connection, self._guard.keyring, row.id)
        access = self._as_program(_NODE, institution, "fetch", Action.FETCH_STUDY)
        _require(access, replace(target, object_id=fetch_id))

    def _of_job(self, action: str, job_id: str, destination: str) -> tuple[Access, Target]:
        with self._guard.engine.connect() as connection:
            job = connection.execute(
                select(JOBS.c.institution, JOBS.c.study_id).where(JOBS.c.id == job_id)
            ).one_or_none()
            if job is None:
                raise JobGoneError
            target = study_target(connection, self._guard.keyring, job.study_id)
        operation = f"{action}:{destination}" if destination else action
        return self._as_program(_NODE, job.institution, operation, Action(action)), target

    def _as_program(self, name: str, institution: str, operation: str, action: Action) -> Access:
        actor = Actor(name, ActorKind.PROGRAM, frozenset({Role.SYSTEM}), institution)
        return self._guard.act(actor, operation, action)

    def _as_source(self, source: Source, address: str | None) -> Access:
        name = f"source:{source.name}"
        access = self._as_program(name, source.institution, "c-store", Action.STORE_IMAGES)
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
