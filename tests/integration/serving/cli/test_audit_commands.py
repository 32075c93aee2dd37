"""`zhuzhen audit` as an auditor types it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from serving.audit.opening import audit_engine
from serving.cli.app import app
from serving.privacy import open_keyring, pseudonym_of
from tests.audit_samples import PATIENT
from tests.installation import fill_installation, installation


@pytest.fixture(autouse=True)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with installation("sqlite", tmp_path, request) as found:
        fill_installation(5)
        yield found


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["audit", *arguments])
    return done.exit_code, done.stdout


def test_an_intact_record_is_told_in_both_languages() -> None:
    code, told = run("verify")
    assert code == 0
    assert "is intact: 5 events" in told
    assert "审计记录完整" in told


def test_tampering_ends_with_a_status_and_a_place() -> None:
    with audit_engine() as engine, engine.begin() as connection:
        connection.execute(text("DROP TRIGGER audit_events_no_delete"))
        connection.execute(text("DELETE FROM audit_events WHERE sequence = 3"))
    code, told = run("verify")
    assert code == 1
    assert "NOT intact" in told
    assert "lane 0, event 3: not there" in told
    code, told = run("verify", "--json")
    assert code == 1
    assert not json.loads(told)["intact"]
    code, _ = run("prune")
    assert code == 1


def test_the_public_key_verifies_elsewhere(tmp_path: Path) -> None:
    code, pem = run("key")
    assert code == 0
    (tmp_path / "key.pem").write_text(pem)
    assert run("verify", "--public-key", str(tmp_path / "key.pem"))[0] == 0


def test_export_writes_one_event_a_line_and_is_recorded_itself() -> None:
    code, lines = run("export", "--format", "fhir")
    assert code == 0
    resources = [json.loads(line) for line in lines.splitlines()]
    assert [found["resourceType"] for found in resources] == ["AuditEvent"] * 6
    assert resources[-1]["subtype"] == [{"code": "audit.export"}]
    assert run("export", "--format", "dicom")[1].count("<AuditMessage>") == 7
    assert run("export", "--format", "json", "--patient", PATIENT)[1].count("\n") == 6
    assert run("export", "--until", "2020-01-01")[1] == ""


def test_a_report_is_found_by_pseudonym_or_by_number(tmp_path: Path) -> None:
    code, page = run("disclosures", "--patient", PATIENT, "--language", "zh")
    assert code == 0
    assert page.count("| account:17 |") == 5
    assert "个人记录访问报告" in page
    (tmp_path / "number").write_text("MRN-4711\n")
    number = ("--issuer", "county-hospital", "--identifier-file", str(tmp_path / "number"))
    code, told = run("disclosures", *number, "--json")
    assert code == 0
    assert json.loads(told)["patient"] == pseudonym_of(
        open_keyring(), "county-hospital", "MRN-4711"
    )
    # The report itself is a disclosure.
    assert json.loads(told)["count"] == 1


def test_young_events_stay_when_old_ones_are_pruned() -> None:
    code, told = run("prune", "--json")
    assert code == 0
    assert json.loads(told) == {"removed": 0, "kept": 0}
