"""What cannot be recorded is not done: changes wait until the event of them is on disk."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route as StarletteRoute

from serving.access import Guard
from serving.doors.parts import ROUTES
from serving.identity import accounts
from serving.identity.keys import id_of, make_key
from serving.persons import personal_records
from serving.policy import Action, Actor, ActorKind, Role
from serving.privacy import Keyring
from serving.privacy.consents import Agreement, Consents
from serving.privacy.holds import place_hold
from serving.problems import Problem
from serving.relations import break_glass, refer
from tests.guards import MemoryRecorder, OneKey

PATIENT = "p-" + "a" * 26
WHO = Actor("account:1", ActorKind.PERSON, frozenset(Role), "village")
REASON = "unconscious, no relatives"

CHANGES: dict[str, Any] = {
    "POST /v1/users": {"name": "wang.fang", "full_name": "王 芳", "roles": ["auditor"]},
    "POST /v1/users/{user}/reset-password": {},
    "POST /v1/users/{user}/disable": {},
    "DELETE /v1/users/{user}/second-factor": {},
    "POST /v1/institutions": {"id": "x", "name": "x", "name_zh": "x", "tier": "primary"},
    "PUT /v1/institutions/{institution}/referrals": {"refers_to": []},
    "POST /v1/keys": {"label": "x"},
    "DELETE /v1/keys/{key}": {},
    "POST /v1/referrals": {"patient": PATIENT, "to": "county"},
    "POST /v1/referrals/{referral}/close": {},
    "POST /v1/emergency-access": {"patient": PATIENT, "reason": REASON},
    "POST /v1/emergency-access/{override}/review": {},
    "POST /v1/consents": {"patient": PATIENT, "purpose": "research", "evidence": "A-1"},
    "POST /v1/consents/{consent}/withdraw": {},
    "POST /v1/persons/erasure": {"identifier": "MRN-1"},
    "POST /v1/legal-holds": {"patient": PATIENT, "reason": "court"},
    "POST /v1/legal-holds/{hold}/lift": {},
}
TABLES = (
    "accounts",
    "institutions",
    "referral_paths",
    "api_keys",
    "referrals",
    "consents",
    "emergency_overrides",
    "legal_holds",
)


@pytest.fixture
def numbers(engine: Engine) -> dict[str, str]:
    """Something of each kind to change."""
    now = datetime.now(UTC)
    account, _ = accounts.add_account(
        engine, "li.ming", full_name="李 明", roles=[Role.AUDITOR], institution=None, now=now
    )
    other = Actor("account:2", ActorKind.PERSON, frozenset({Role.SPECIALIST}), "county")
    agreed = Agreement.of("research", "A-1", None, None)
    return {
        "user": account.id,
        "institution": "village",
        "key": id_of(make_key(engine, label="x", roles=[Role.SYSTEM])),
        "referral": refer(engine, WHO, PATIENT, "county", now).id,
        "override": break_glass(engine, other, PATIENT, REASON, now).id,
        "consent": Consents(engine).give(PATIENT, "village", agreed, "account:1").id,
        "hold": place_hold(engine, PATIENT, "court", "account:9").id,
    }


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_changed_that_cannot_be_recorded(
    engine: Engine, keyring: Keyring, numbers: dict[str, str], change: str
) -> None:
    before = everything(engine)
    recorder = MemoryRecorder()
    recorder.fails = True

    answer = ask(Guard(engine, recorder, OneKey(WHO), keyring), change, numbers)

    assert answer.status_code == 503, answer.text
    assert everything(engine) == before
    # With a record it is done: the request is one that changes something.
    recorder.fails = False
    assert ask(Guard(engine, recorder, OneKey(WHO), keyring), change, numbers).is_success
    assert (everything(engine) != before) is (change not in _CHANGES_NOTHING_HERE)


_CHANGES_NOTHING_HERE = ("POST /v1/persons/erasure", "DELETE /v1/users/{user}/second-factor")
"""There is nothing to take away."""


def everything(engine: Engine) -> str:
    with engine.connect() as connection:
        return str([connection.execute(text(f"SELECT * FROM {table}")).all() for table in TABLES])  # noqa: S608


def ask(guard: Guard, change: str, numbers: dict[str, str]) -> httpx.Response:
    """Ask a handler as the entrance does once it has let somebody in."""
    method, _, template = change.partition(" ")
    (route,) = [each for each in ROUTES if (each.method, each.path) == (method, template)]
    assert route.handler is not None
    handler: Callable[[Request], Any] = route.handler

    async def admitted(request: Request) -> Any:
        action = route.action or Action.DISCOVER
        request.scope.setdefault("state", {})["access"] = guard.act(WHO, route.name, action)
        try:
            return await handler(request)
        except Problem as problem:
            return problem.response()

    app = Starlette(routes=[StarletteRoute(template, admitted, methods=[method])])
    app.state.guard = guard
    app.state.persons = personal_records(guard.engine, guard.keyring)

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            content = json.dumps(CHANGES[change])
            headers = {"Content-Type": "application/json"}
            path = template.format(**numbers)
            return await client.request(method, path, content=content, headers=headers)

    return asyncio.run(send())


def test_every_change_of_who_may_do_what_is_among_them() -> None:
    """A new route that changes something of these tables joins the walk."""
    own = ("/v1/login", "/v1/logout", "/v1/password", "/v1/second-factor")
    changing = {
        f"{route.method} {route.path}"
        for route in ROUTES
        if route.method not in ("GET", "HEAD") and route.path.startswith("/v1/")
        if route.action
        not in (
            Action.RECOGNIZE,
            Action.CLASSIFY_PATHOLOGY,
            Action.SCORE_RISK,
            Action.READ_CONSENTS,
            Action.EXPORT_PERSON,
            Action.FETCH_STUDY,
        )
        if not route.path.startswith(own)
    }
    assert changing == set(CHANGES)
