"""A person's data: a copy of everything, an erasure of all that the law does not keep, a hold."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import Engine
from typer.testing import CliRunner

from serving.archive import Archive, Origin
from serving.audit import Outcome, Purpose
from serving.audit.opening import audit_engine
from serving.audit.queries import Criteria, find_events
from serving.cli.app import app
from serving.objects import open_objects
from serving.privacy import open_keyring, pseudonym_of
from serving.privacy.consents import Agreement, Consents
from serving.records import database_url, open_engine
from tests.installation import fill_installation, installation
from tests.instance_samples import encoded, instance

NUMBER, OTHER = "MRN-4711", "MRN-4712"


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with installation(request.param, tmp_path, request):
        fill_installation(1)
        found = open_engine(database_url())
        yield found
        found.dispose()


def receive(engine: Engine, number: str, count: int) -> list[str]:
    """Have the node receive instances of a patient; return where they lie."""
    keyring = open_keyring()
    archive = Archive(engine, open_objects(keyring=keyring), keyring)
    received = [
        archive.receive(
            encoded(instance(PatientID=number)), ExplicitVRLittleEndian, Origin("local", "ct")
        )
        for _ in range(count)
    ]
    archive.close()
    return [receipt.digest for receipt in received]


def run(*arguments: str, number: str = NUMBER) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["person", *arguments, "--json"], input=number)
    return done.exit_code, done.stdout


WHOSE = ("--institution", "local", "--number-file", "-")


def test_a_copy_holds_everything_of_one_person_alone(engine: Engine, tmp_path: Path) -> None:
    receive(engine, NUMBER, 2)
    receive(engine, OTHER, 1)
    pseudonym = pseudonym_of(open_keyring(), "local", NUMBER)
    Consents(engine).give(pseudonym, "local", Agreement(Purpose.RESEARCH, "A-1"), "account:1")
    target = tmp_path / "copy.zip"
    code, told = run("export", str(target), *WHOSE)
    assert (code, json.loads(told)) == (0, {"files": 3})
    with zipfile.ZipFile(target) as archive:
        names = archive.namelist()
        (consent,) = json.loads(archive.read("records/consents.json"))
        with archive.open(names[0]) as image:
            assert pydicom.dcmread(image).PatientID == NUMBER
    assert consent["purpose"] == "research"
    assert len([name for name in names if name.startswith("images/")]) == 2
    assert target.stat().st_mode & 0o077 == 0
    assert NUMBER not in told


def test_an_erasure_leaves_others_and_what_the_law_keeps(engine: Engine) -> None:
    mine, others = receive(engine, NUMBER, 2), receive(engine, OTHER, 1)
    pseudonym = pseudonym_of(open_keyring(), "local", NUMBER)
    Consents(engine).give(pseudonym, "local", Agreement(Purpose.RESEARCH, "A-1"), "account:1")
    code, told = run("erase", *WHOSE)
    assert code == 0
    assert json.loads(told)["removed"]["images"] == 2
    store = open_objects()
    assert not any(store.exists(digest) for digest in mine)
    assert all(store.exists(digest) for digest in others)
    assert Consents(engine).of_patient(pseudonym, "local")
    with audit_engine() as audit, audit.connect() as connection:
        operations = [e.operation for e in find_events(connection, Criteria(pseudonym))]
    assert operations == ["cli:person.erase", "cli:person.erase"]
    code, told = run("erase", *WHOSE)
    assert json.loads(told)["removed"]["images"] == 0


def test_a_hold_refuses_the_erasure_until_it_is_lifted(engine: Engine) -> None:
    (digest,) = receive(engine, NUMBER, 1)
    code, told = run("hold", *WHOSE, "--reason", "litigation")
    assert code == 0
    code, _ = run("erase", *WHOSE)
    assert code == 1
    assert open_objects().exists(digest)
    pseudonym = pseudonym_of(open_keyring(), "local", NUMBER)
    with audit_engine() as audit, audit.connect() as connection:
        refused = list(find_events(connection, Criteria(pseudonym)))[-1]
    assert (refused.outcome, refused.reason) == (Outcome.DENIED, "legal_hold")
    assert run("lift", json.loads(told)["hold"])[0] == 0
    assert run("erase", *WHOSE)[0] == 0
    assert not open_objects().exists(digest)
