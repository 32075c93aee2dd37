"""Who is asking, may they, and the record of it: what every door goes through.

`Guard` is opened once with the service. A door asks it in this order: `identify` (401 without a
credential that is valid now), `admit` (403 where no role of the actor may ever do the action),
then, when the record is known, `require` (403 without a relation to it). Each answer is an audit
event, and `settled` waits until those of a request are recorded, before it is answered: on disk,
or, for what institutions read of their own, where they outlive this process (`audit_words`).
"""

import logging
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from ipaddress import ip_address
from typing import Protocol

from sqlalchemy import Engine
from starlette.requests import HTTPConnection
from starlette.types import Scope

from serving import audit, tracing
from serving.audit.opening import recording
from serving.audit.writing import RecorderSettings
from serving.audit_words import category_of, must_outlive_power, purpose_of, verb_of
from serving.identity.cds_clients import read_cds_clients
from serving.identity.credentials import Credentials
from serving.identity.errors import (
    BearerRefusedError,
    CredentialRefusedError,
    ForgedRequestError,
    SignedCallRefusedError,
)
from serving.identity.published_keys import KeysUnavailableError
from serving.identity.rates import RateLimit, network_of
from serving.identity.tokens import Provider
from serving.policy import Action, Actor, ActorKind, Decision, Target, decide, may_ever
from serving.privacy import Keyring, open_keyring
from serving.problems import Problem, too_many
from serving.records import database_url, open_engine, upgrade
from serving.relations import Grounds
from serving.settings import REQUESTS_PER_MINUTE, Settings
from serving.tracing import Stage

_LOG = logging.getLogger("zhuzhen.identity")
_STATE = "access"
ANONYMOUS = Actor("anonymous", ActorKind.PROGRAM, frozenset())
"""Whoever has not said who it is, or could not show it."""
_WAIT_S = 30.0
_UNKNOWN_PER_MINUTE = 600
"""Requests without a valid credential from one address."""


@dataclass(slots=True)
class Access:
    """One request's (association's, job's) actor, and what was recorded of it."""

    guard: "Guard"
    actor: Actor
    operation: str
    """The service's own name of what is asked for: a route's template, a DICOM service, a job."""
    action: Action
    source_address: str | None = None
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    receipts: list[audit.Receipt] = field(default_factory=list)

    def admit(self) -> None:
        """Go on only if the actor may do the action to anything at all.

        Raises:
            Problem: 403.
        """
        decision = may_ever(self.actor, self.action)
        if not decision.allowed:
            self.note(decision, Target("none"))
            raise _forbidden(decision)

    def require(
        self, target: Target, *, action: Action | None = None, reason: str | None = None
    ) -> Decision:
        """Go on only if the actor may do it (by default the door's action) to `target`.

        A `reason` that the actor gave for it, a machine name, is recorded with it.

        Records of another institution are looked up in the database: for these, coroutines call it
        in a thread.

        Raises:
            Problem: 403; 503 where the audit record takes no events.
        """
        asked = action or self.action
        known = self.guard.grounds.complete(self.actor, asked, target, datetime.now(UTC))
        decision = decide(self.actor, asked, known)
        self.note(decision, target, action=action, reason=reason)
        if not decision.allowed:
            raise _forbidden(decision)
        return decision

    def own(self, kind: str, patient: str | None = None) -> Target:
        """Return a target that is the actor's own institution's: what comes with the request."""
        return Target(kind, self.actor.institution or "-", patient)

    def note(
        self,
        decision: Decision,
        target: Target,
        *,
        action: Action | None = None,
        reason: str | None = None,
    ) -> None:
        """Record a decision.

        Raises:
            Problem: 503 where the audit record takes no events.
        """
        outcome = audit.Outcome.ALLOWED if decision.allowed else audit.Outcome.DENIED
        given = reason if decision.allowed else None
        self._record(outcome, decision, target, action or self.action, given)

    def note_result(
        self, outcome: audit.Outcome, reason: str, target: Target | None = None
    ) -> None:
        """Record how something ended for a `reason` that is not the policy's, a machine name."""
        allowed = may_ever(self.actor, self.action)
        self._record(outcome, allowed, target or Target("none"), self.action, reason)

    def _record(
        self,
        outcome: audit.Outcome,
        decision: Decision,
        target: Target,
        action: Action,
        reason: str | None = None,
    ) -> None:
        event = audit.AuditEvent(
            category=category_of(action),
            action=verb_of(action),
            outcome=outcome,
            operation=f"{action}:{self.operation}" if action != self.action else self.operation,
            actor=self.actor.id,
            role=decision.role.value if decision.role else "none",
            purpose=purpose_of(action, decision.relation) or audit.Purpose(self.actor.purpose),
            institution=self.actor.institution,
            relation=decision.relation.value,
            patient=target.patient,
            object_type=target.kind,
            object_id=target.object_id,
            reason=reason or (None if decision.allowed else decision.reason),
            source_address=self.source_address,
            request_id=self.request_id,
        )
        try:
            wait_for_disk = reason is not None or must_outlive_power(action, decision)
            receipt = self.guard.recorder.record(event, wait_for_disk=wait_for_disk)
            self.receipts.append(receipt)
        except audit.AuditUnavailableError as error:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error

    async def settled(self) -> None:
        """Wait until what happened is recorded as lastingly as it has to be.

        Raises:
            Problem: 503, it cannot be.
        """
        receipts, self.receipts = self.receipts, []
        try:
            with tracing.span(Stage.AUDIT):
                for receipt in receipts:
                    await receipt
        except audit.AuditUnavailableError as error:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error

    def settle(self) -> None:
        """Wait, in a thread, until what was recorded is on disk.

        Raises:
            AuditUnavailableError: it cannot be.
        """
        receipts, self.receipts = self.receipts, []
        with tracing.span(Stage.AUDIT):
            for receipt in receipts:
                receipt.wait(_WAIT_S)


class Identifies(Protocol):
    """Reads credentials."""

    async def actor_of(self, scope: Scope) -> Actor:
        """Return who sent the request of `scope`.

        Raises:
            CredentialRefusedError: no credential that is valid now says it.
            KeysUnavailableError: nobody can tell.
        """
        ...

    def forget(self) -> None:
        """Look every credential up again."""
        ...


class Guard:
    """The records, the credentials and the audit record of a running service."""

    def __init__(
        self,
        engine: Engine,
        recorder: audit.Recorder,
        credentials: Identifies,
        keyring: Keyring,
        most_per_minute: int = REQUESTS_PER_MINUTE,
    ) -> None:
        self.engine = engine
        self.recorder = recorder
        self.credentials = credentials
        self.keyring = keyring
        self.grounds = Grounds(engine)
        self._known = RateLimit(most_per_minute)
        self._unknown = RateLimit(_UNKNOWN_PER_MINUTE)

    async def identify(self, scope: Scope, operation: str, action: Action) -> Access:
        """Return the access of the HTTP request of `scope`.

        Raises:
            Problem: 401, there is no credential or it is not valid now; 403, another site's page
                had a browser send it; 429, it is used too often; 503, nobody can tell.
        """
        address = address_of(scope)
        access = Access(self, ANONYMOUS, operation, action, address)
        try:
            access.actor = await self.credentials.actor_of(scope)
        except CredentialRefusedError as refused:
            _slow_down(self._unknown, network_of(address))
            await _turn_away(access, refused)
            raise _problem_of(refused) from None
        except KeysUnavailableError as error:
            _slow_down(self._unknown, network_of(address))
            access.note_result(audit.Outcome.FAILED, "keys_unavailable")
            await access.settled()
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
        _slow_down(self._known, access.actor.id)
        scope.setdefault("state", {})[_STATE] = access
        return access

    def act(self, actor: Actor, operation: str, action: Action) -> Access:
        """Return the access of an actor who is known by other means: a job, an association."""
        return Access(self, actor, operation, action)

    @contextmanager
    def on_duty(self) -> Iterator[None]:
        """Record that the service begins to answer and, at the end, that it stopped in order.

        A start that follows no stop says that what was not yet on disk then may be missing.

        Raises:
            AuditUnavailableError: nothing can be recorded.
        """
        self.recorder.record(_of_service(audit.SERVICE_START)).wait()
        try:
            yield
        finally:
            with suppress(audit.AuditUnavailableError):
                self.recorder.record(_of_service(audit.SERVICE_STOP)).wait()


def access_of(request: HTTPConnection) -> Access:
    """Return the access of a request that the entrance let in."""
    access: Access = request.scope["state"][_STATE]
    return access


@contextmanager
def open_guard() -> Iterator[Guard]:
    """Open the records and the audit record of this installation (`ZHUZHEN_HOME`)."""
    engine = open_engine(database_url())
    try:
        upgrade(engine)
        keyring = open_keyring()
        provider = Provider.from_environment(os.environ)
        credentials = Credentials(engine, provider, read_cds_clients(os.environ))
        settings = Settings.from_environment()
        written = RecorderSettings(sync_within_s=settings.audit_sync_within_ms / 1e3)
        with recording(keyring, written) as recorder:
            limit = settings.requests_per_minute
            yield Guard(engine, recorder, credentials, keyring, limit)
    finally:
        engine.dispose()


class GuardPost:
    """Where the entrance finds the guard, from when the service is open."""

    def __init__(self) -> None:
        self._guard: Guard | None = None

    @contextmanager
    def manned(
        self, opening: Callable[[], AbstractContextManager[Guard]] = open_guard
    ) -> Iterator[Guard]:
        """Keep a guard here as long as the context lasts."""
        with opening() as guard:
            self._guard = guard
            try:
                yield guard
            finally:
                self._guard = None

    def guard(self) -> Guard:
        """Return the guard.

        Raises:
            Problem: 503, the service is not open yet, or not any more.
        """
        if self._guard is None:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The service is not ready yet; ask again in a moment.",
            )
        return self._guard


POST = GuardPost()
"""The one of this process: BentoML makes the service when its module is imported."""


def _of_service(operation: str) -> audit.AuditEvent:
    return audit.AuditEvent(
        category=audit.Category.APPLICATION_ACTIVITY,
        action=audit.Action.EXECUTE,
        outcome=audit.Outcome.ALLOWED,
        operation=operation,
        actor="service",
        role="system",
        purpose=audit.Purpose.OPERATIONS,
    )


def address_of(scope: Scope) -> str | None:
    """Return the address that the request came from; a proxy may say what is none."""
    client = scope.get("client")
    try:
        return str(ip_address(client[0])) if client else None
    except ValueError:
        return None


def _slow_down(limit: RateLimit, caller: str) -> None:
    wait_s = limit.wait_s(caller)
    if wait_s:
        raise too_many(wait_s)


async def _turn_away(access: Access, refused: CredentialRefusedError) -> None:
    """Record and log why, which the sender is not told."""
    if isinstance(refused, ForgedRequestError):
        access.actor = refused.actor
    access.note_result(audit.Outcome.DENIED, refused.reason)
    _LOG.warning(
        "a credential was refused",
        extra={"reason": refused.reason, "request_id": access.request_id},
    )
    await access.settled()


def _problem_of(refused: CredentialRefusedError) -> Problem:
    """Return what the sender is told: no more than RFC 6750, section 3, has for it."""
    if isinstance(refused, ForgedRequestError):
        return Problem(
            HTTPStatus.FORBIDDEN,
            "The request changes something and lacks the session's token in X-CSRF-Token, which "
            "login and GET /v1/session give. Log in anew if it was not you who sent it.",
        )
    challenge = 'Bearer realm="zhuzhen"'
    if isinstance(refused, BearerRefusedError):
        challenge += ', error="invalid_token"'
    if isinstance(refused, SignedCallRefusedError):
        # Whoever sets a record system up must know; guesses of its signature lead nowhere.
        told = refused.told.replace('"', "'")
        challenge += f', error_description="{told}"'
        return Problem(HTTPStatus.UNAUTHORIZED, told, {"WWW-Authenticate": challenge})
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "The request has no credential that is valid now. Send `Authorization: Bearer KEY`; an "
        "administrator makes keys with `zhuzhen keys create`.",
        {"WWW-Authenticate": challenge},
    )


def _forbidden(decision: Decision) -> Problem:
    return Problem(HTTPStatus.FORBIDDEN, f"{decision.message.en} / {decision.message.zh}")
