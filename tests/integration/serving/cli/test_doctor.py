"""`zhuzhen doctor` finds what is not well kept, and `zhuzhen encryption` changes keys in use."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import text
from typer.testing import CliRunner

from serving.archive import Archive, Origin
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
