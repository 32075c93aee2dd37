"""A guard for tests of single parts: knows one key, keeps what was recorded in memory."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future
from typing import cast

from sqlalchemy import create_engine
from starlette.types import Scope

from serving.access import Guard, GuardPost
from serving.audit import AuditEvent, AuditUnavailableError, Receipt
from serving.identity.errors import CredentialRefusedError
from serving.policy import Actor, ActorKind, Role
from serving.privacy import Keyring

KEY = "the-key"
PROGRAM = Actor("key:test", ActorKind.PROGRAM, frozenset({Role.SYSTEM}), "local")


class MemoryRecorder:
    """Keeps events; `fails` makes it one whose disk is full."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.fails = False

    def record(self, *events: AuditEvent, wait_for_disk: bool = True) -> Receipt:
        written: Future[None] = Future()
        if self.fails:
            written.set_exception(AuditUnavailableError("The audit record cannot be written."))
        else:
            self.events.extend(events)
            written.set_result(None)
        return Receipt(written, lambda: None)


class OneKey:
    """Knows who `KEY` belongs to."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def forget(self) -> None:
        """Remembers nothing."""

    async def actor_of(self, scope: Scope) -> Actor:
        given = dict(scope["headers"]).get(b"authorization")
        if given != f"Bearer {KEY}".encode():
            raise CredentialRefusedError("no_credential")
        return self._actor


@contextlib.contextmanager
def a_manned_post(
    recorder: MemoryRecorder | None = None, actor: Actor = PROGRAM
) -> Iterator[GuardPost]:
    """A post with a guard on it."""
    post = GuardPost()
    # What needs the installation's keys is tested with real ones.
    keyring = cast(Keyring, None)
    guard = Guard(create_engine("sqlite://"), recorder or MemoryRecorder(), OneKey(actor), keyring)
    with post.manned(lambda: contextlib.nullcontext(guard)):
        yield post
