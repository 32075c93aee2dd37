"""The commands of the operator: users, institutions, keys, emergencies; and the record of them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from serving.audit.opening import audit_engine
from serving.audit.tables import EVENTS
from serving.cli.app import app
from serving.identity.errors import BearerRefusedError
from serving.identity.keys import verify_key
from serving.policy import Role
from serving.records import database_url, open_engine


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path))
    monkeypatch.delenv("ZHUZHEN_DATABASE_URL", raising=False)


def told(*words: str) -> list[dict[str, Any]]:
    """What a command says in JSON."""
    result = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_an_institution_its_people_and_its_programs(tmp_path: Path) -> None:
    for name, tier in (("village", "primary"), ("county", "secondary")):
        told("institutions", "add", name, "--name", name, "--name-zh", "卫生院", "--tier", tier)
    told("institutions", "refer", "village", "--to", "county")
    named = {one["id"]: one for one in told("institutions", "list")}
    assert named["village"]["refers_to"] == ["county"]

    who = ("--role", "specialist", "--institution", "county", "--full-name", "李 明")
    (added,) = told("users", "add", "li.ming", *who)
    assert len(added["password"]) >= 20
    (reset,) = told("users", "reset-password", "li.ming")
    assert reset["password"] != added["password"]
    told("users", "remove-second-factor", "li.ming")
    told("users", "disable", added["id"])
    (listed,) = told("users", "list")
    assert (listed["full_name"], listed["disabled"]) == ("李 明", True)
    assert "password" not in listed

    (made,) = told("keys", "create", "EHR", "--institution", "village", "--scope", "score_risk")
    engine = open_engine(database_url())
    verified = verify_key(engine, made["key"], datetime.now(UTC))
    assert verified.actor.roles == frozenset({Role.SYSTEM})
    (key,) = told("keys", "list")
    assert made["key"].split("_", 2)[2] not in str(key)
    told("keys", "revoke", made["id"])
    with pytest.raises(BearerRefusedError, match="key_revoked"):
        verify_key(engine, made["key"], datetime.now(UTC))
    engine.dispose()
    assert told("emergencies", "list") == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("users", "add", "x.y", "--role", "king", "--full-name", "X"), "primary_clinician"),
        (("users", "disable", "nobody"), "no such account"),
        (("keys", "revoke", "0"), "no key of this number"),
        (("keys", "create", "x", "--institution", "nowhere"), "no institution"),
        (("institutions", "refer", "a", "--to", "b"), "no institution"),
    ],
)
def test_what_cannot_be_done_is_told(words: tuple[str, ...], expected: str) -> None:
    result = CliRunner().invoke(app, list(words))

    assert result.exit_code != 0
    assert expected in str(result.exception)


def test_what_the_operator_does_is_on_record() -> None:
    told("keys", "create", "EHR")
    told("users", "list")

    with audit_engine() as engine, engine.connect() as connection:
        rows = connection.execute(select(EVENTS.c.payload)).scalars()
        payloads = [json.loads(row) for row in rows]
    operations = {(event["operation"], event["actor"].partition(":")[0]) for event in payloads}
    assert operations == {("cli:keys.create", "operator"), ("cli:users.list", "operator")}
    assert {event["outcome"] for event in payloads} == {"allowed"}
