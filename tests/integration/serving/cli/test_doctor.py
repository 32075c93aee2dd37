"""`zhuzhen doctor` finds what is not well kept, and `zhuzhen encryption` changes keys in use."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from benchmarks.postgresql import PostgresServer
from serving.archive import Archive, Origin
from serving.attached import attached_service
from serving.audit.opening import audit_engine
from serving.check import State
from serving.cli import keeping_keys
from serving.cli.app import app
from serving.doctor import examine
from serving.objects import open_objects
from serving.privacy import open_keyring
from serving.privacy.master_keys import new_master_key
from serving.records import database_url, open_engine
from tests.installation import fill_installation, installation
from tests.instance_samples import encoded, instance


@pytest.fixture(autouse=True)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with installation("sqlite", tmp_path, request) as found:
        fill_installation(2)
        found.chmod(0o700)
        yield found


def states(home: Path, **environment: str) -> dict[str, State]:
    return {check.name: check.state for check in examine(home, os.environ | environment)}


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout


def test_a_new_installation_works_and_is_told_what_to_better(home: Path) -> None:
    assert states(home) == {
        "home": State.OK,
        "settings": State.OK,
        "master_key": State.WARNING,
        "keyring": State.OK,
        "database": State.OK,
        "audit": State.OK,
        "anchor": State.WARNING,
        "disk": State.OK,
        "tls": State.OK,
    }
    code, told = run("doctor", "--json")
    assert code == 0
    for line in told.splitlines():
        found = json.loads(line)
        assert found["message"]["en"]
        assert found["message"]["zh"]
    assert (home / "keys" / "master.key").read_text().strip() not in told


def test_what_is_wrong_is_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.chmod(0o755)
    (home / "keys" / "master.key").chmod(0o644)
    with audit_engine() as engine, engine.begin() as connection:
        connection.execute(text("DROP TRIGGER audit_events_no_update"))
    found = states(home)
    assert found["home"] is State.WARNING
    assert found["master_key_file"] is State.ERROR
    # Opening the engine for a look must not mend it, or nobody would learn of it.
    assert found["audit"] is State.ERROR
    assert run("doctor")[0] == 1
    other = states(home, ZHUZHEN_MASTER_KEY=new_master_key())
    assert other["keyring"] is State.ERROR
    clear = "postgresql+psycopg://u:secret@db.example/z"
    assert states(home, ZHUZHEN_DATABASE_URL=clear)["database"] is State.ERROR
    monkeypatch.setenv("ZHUZHEN_DATABASE_URL", clear)
    assert "secret" not in run("doctor")[1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"ZHUZHEN_OIDC_AUDIENCE": "zz", "ZHUZHEN_OIDC_ISSUER": "http://idp.example"},
        {"ZHUZHEN_OIDC_ISSUER": "https://idp.example", "ZHUZHEN_OIDC_AUDIENCE": ""},
        {"ZHUZHEN_CORS_ORIGINS": "*"},
        {"ZHUZHEN_REQUESTS_PER_MINUTE": "unlimited"},
        {"ZHUZHEN_OBSERVE": "maybe"},
    ],
    ids=lambda wrong: " ".join(wrong),
)
def test_a_setting_that_is_unsafe_is_told_before_the_start(
    home: Path, wrong: dict[str, str]
) -> None:
    found = [each for each in examine(home, os.environ | wrong) if each.name == "settings"]
    assert [each.state for each in found] == [State.ERROR]
    assert next(reversed(wrong)) in found[0].message.en


def test_a_role_that_could_change_the_audit_record_is_told(
    request: pytest.FixtureRequest, tmp_path: Path, postgresql: PostgresServer
) -> None:
    """As docs/audit.md says: a role that owns nothing there, which the service runs as."""
    with installation("postgresql", tmp_path / "pg", request) as home:
        fill_installation(1)
        assert states(home)["audit_role"] is State.WARNING
        role = f"zz_{os.urandom(4).hex()}"
        page = (Path(__file__).parents[4] / "docs" / "audit.md").read_text("utf-8")
        statements = page.split("```sql\n")[1].split("```")[0].replace("zz_app", role)
        engine = open_engine(database_url())
        with engine.begin() as connection:
            for statement in statements.replace("\n", " ").split(";"):
                if statement.strip():
                    connection.execute(text(statement))
        engine.dispose()
        url = database_url().replace("zhuzhen@", f"{role}@")
        assert states(home, ZHUZHEN_DATABASE_URL=url)["audit_role"] is State.OK
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("ZHUZHEN_DATABASE_URL", url)
            with attached_service() as service:
                answer = httpx.get(
                    f"{service.url}/v1/session", headers=service.headers, trust_env=False
                )
            assert answer.status_code == 200
            assert run("audit", "verify")[0] == 0
            refused = open_engine(url)
            for statement in ("DELETE FROM audit_events", "UPDATE audit_events SET payload = ''"):
                with refused.connect() as connection, pytest.raises(DBAPIError, match="permission"):
                    connection.execute(text(statement))
            refused.dispose()


def test_keys_rotate_while_the_node_receives(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_engine(database_url())
    keyring = open_keyring()
    archive = Archive(engine, open_objects(keyring=keyring), keyring)
    stop, failures = threading.Event(), []
    digests: list[str] = []

    def receive() -> None:
        while not stop.is_set() or not digests:
            try:
                data = encoded(instance())
                receipt = archive.receive(data, ExplicitVRLittleEndian, Origin("local", "ct"))
                assert archive.open(receipt.digest)[-128:] == data[-128:]
                digests.append(receipt.digest)
            except BaseException as error:
                failures.append(error)
                raise

    threads = [threading.Thread(target=receive) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        assert run("encryption", "rotate", "--json")[0] == 0
    stop.set()
    for thread in threads:
        thread.join()
    archive.close()
    engine.dispose()
    assert not failures
    assert run("encryption", "rotate", "--json")[0] == 0
    keys = [json.loads(line) for line in run("encryption", "status", "--json")[1].splitlines()]
    assert [key["objects"] for key in keys] == [0, 0, 0, len(digests)]
    # A key that something in flight may still use is kept for a while.
    assert json.loads(run("encryption", "prune", "--json")[1]) == {"dropped": []}
    monkeypatch.setattr(keeping_keys, "SETTLING", keeping_keys.SETTLING * 0)
    dropped = json.loads(run("encryption", "prune", "--json")[1])["dropped"]
    in_use = {key["data_key"] for key in keys if key["objects"] or key["values"]}
    assert set(dropped) == {key["data_key"] for key in keys} - in_use
    again = open_objects()
    assert all(again.get(digest) for digest in digests)


def test_a_new_master_key_takes_over(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = (home / "keys" / "master.key").read_text().strip()
    new = new_master_key()
    monkeypatch.setenv("ZHUZHEN_MASTER_KEY", f"{new},{old}")
    assert run("encryption", "rewrap")[0] == 0
    monkeypatch.setenv("ZHUZHEN_MASTER_KEY", new)
    (home / "keys" / "master.key").unlink()
    assert run("audit", "verify")[0] == 0
