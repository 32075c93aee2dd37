"""The migrations make the tables that the code has, on both databases."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData, text
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from serving.audit.tables import METADATA as AUDIT_METADATA
from serving.audit.tables import MIGRATIONS as AUDIT_MIGRATIONS
from serving.cli.app import app
from serving.identity.accounts import find_account
from serving.identity.records import Institution, Tier
from serving.records import DatabaseError, open_engine, upgrade
from serving.records.migration import RECORDS, Migrations
from serving.records.tables import METADATA


@pytest.mark.parametrize(
    ("migrations", "metadata"),
    [(RECORDS, METADATA), (AUDIT_MIGRATIONS, AUDIT_METADATA)],
    ids=["records", "audit"],
)
def test_migrated_tables_are_those_of_the_code(
    database_url: str, migrations: Migrations, metadata: MetaData
) -> None:
    engine = open_engine(database_url)
    assert upgrade(engine, migrations)
    assert not upgrade(engine, migrations)

    with engine.connect() as connection:
        opts = {"compare_type": True, "version_table": migrations.version_table}
        context = MigrationContext.configure(connection, opts=opts)
        differences = compare_metadata(context, metadata)
    engine.dispose()

    assert metadata.tables
    assert differences == []


def test_of_several_that_open_an_installation_at_once_one_migrates(
    database_url: str, tmp_path: Path
) -> None:
    """Both databases, the keys and the audit record, by processes of their own."""
    environment = os.environ | {
        "ZHUZHEN_HOME": str(tmp_path / "home"),
        "ZHUZHEN_DATABASE_URL": database_url,
    }
    command = [sys.executable, "-m", "tests.migrating"]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    command,
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(4)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, [error for _, error in told]
    migrated = [json.loads(out) for out, _ in told]
    assert sum(each["records"] for each in migrated) == 1
    assert sum(each["audit"] for each in migrated) == 1
    with mock.patch.dict(os.environ, environment):
        verified = CliRunner().invoke(app, ["audit", "verify", "--json"])
    assert verified.exit_code == 0, verified.output
    assert json.loads(verified.stdout)["events"] == 4


def test_migrations_are_one_line() -> None:
    assert len(RECORDS.scripts().get_heads()) == 1


def test_a_newer_database_is_left_alone(database_url: str) -> None:
    engine = open_engine(database_url)
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(DatabaseError, match="9999"):
        upgrade(engine)
    engine.dispose()


def test_moments_come_back_with_their_zone_and_are_refused_without(database_url: str) -> None:
    engine = open_engine(database_url)
    upgrade(engine)
    moment = datetime(2026, 11, 25, 8, 30, tzinfo=UTC)

    def an_institution(name: str, when: datetime) -> Institution:
        return Institution(id=name, name=name, name_zh=name, tier=Tier.PRIMARY, created_at=when)

    with Session(engine) as session:
        session.add(an_institution("one", moment))
        session.commit()
        found = session.get_one(Institution, "one").created_at
        session.add(an_institution("two", moment.replace(tzinfo=None)))
        with pytest.raises(StatementError, match="without a zone"):
            session.commit()
    engine.dispose()

    assert found == moment
    assert found.utcoffset() is not None


def test_names_that_lay_in_clear_are_sealed(database_url: str, tmp_path: Path) -> None:
    engine = open_engine(database_url)
    config = RECORDS.config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0008_outgoing")
        connection.execute(
            text(
                "INSERT INTO accounts (id, name, full_name, roles, password_hash, totp_confirmed,"
                " must_change_password, totp_last_step, failures, created_at)"
                " VALUES ('1', 'ouyang', '欧阳锋漏', '[]', 'x', false, false, 0, 0, '2026-11-25')"
            )
        )

    upgrade(engine)

    assert find_account(engine, "ouyang").full_name == "欧阳锋漏"
    with engine.connect() as connection:
        assert "欧阳" not in str(connection.execute(text("SELECT * FROM accounts")).all())
    engine.dispose()
    # Nothing of it is left where the old column was.
    for path in tmp_path.glob("records.sqlite3*"):
        assert "欧阳锋漏".encode() not in path.read_bytes()


@pytest.mark.parametrize("url", ["mysql://root:secret@host/x", "nonsense", ""])
def test_other_databases_are_refused_without_repeating_the_address(url: str) -> None:
    with pytest.raises(DatabaseError) as refused:
        open_engine(url)

    assert "secret" not in str(refused.value)
