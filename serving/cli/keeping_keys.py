"""`zhuzhen doctor` and `zhuzhen encryption`."""

from datetime import UTC, datetime, timedelta

import typer
from rich.table import Column, Table

from models.store import home
from serving.answers import write_json
from serving.audit import Action, AuditEvent, Category, Outcome, Purpose
from serving.audit.opening import recording
from serving.check import State
from serving.cli.answers_table import console_for_people
from serving.doctor import examine
from serving.identity.local import operator
from serving.objects import open_objects
from serving.privacy import Keyring, open_keyring
from serving.privacy.sealed_columns import reseal_columns, sealed_under
from serving.records import database_url, open_engine, upgrade
from serving.records.tables import METADATA

SETTLING = timedelta(hours=1)
"""What was begun under an older key has ended by then."""


def see_doctor(*, as_json: bool) -> int:
    """Check the configuration and explain each point; 1 if something promised does not hold."""
    checks = list(examine(home()))
    if as_json:
        for check in checks:
            message = {"en": check.message.en, "zh": check.message.zh}
            typer.echo(
                write_json({"check": check.name, "state": check.state.value, "message": message})
            )
    else:
        told = Column("What was found, what to do / 结果与建议", overflow="fold")
        table = Table("Check", "State", told)
        for check in checks:
            table.add_row(check.name, check.state.value, f"{check.message.en}\n{check.message.zh}")
        console_for_people().print(table)
    return int(any(check.state is State.ERROR for check in checks))


def show_keys(*, as_json: bool) -> int:
    """Say how many objects and values each data key encrypts."""
    keyring = open_keyring()
    objects, values = _uses(keyring)
    for key_id in keyring.data_key_ids():
        entry = {
            "data_key": key_id,
            "active": key_id == keyring.active_key().key_id,
            "objects": objects.get(key_id, 0),
            "values": values.get(key_id, 0),
        }
        if as_json:
            typer.echo(write_json(entry))
        else:
            mark = "active" if entry["active"] else "older"
            typer.echo(f"{key_id} {mark}: {entry['objects']} objects, {entry['values']} values")
    return 0


def rotate(*, as_json: bool) -> int:
    """Make a data key, encrypt everything with it, and drop the older keys that are not needed.

    The service goes on meanwhile; it uses the new key from its next write on.
    """
    keyring = open_keyring()
    _note(keyring, "encryption.rotate")
    keyring.add_data_key()
    objects = sum(open_objects(keyring=keyring).reencrypt())
    engine = open_engine(database_url())
    upgrade(engine)
    values = reseal_columns(engine, METADATA.sorted_tables, keyring)
    engine.dispose()
    done = {"objects": objects, "values": values.changed, "values_left": values.left}
    if as_json:
        typer.echo(write_json(done))
    else:
        typer.echo(
            f"Encrypted {objects} objects and {values.changed} values anew; {values.left} values "
            "stay under their older key, which is kept. zhuzhen encryption prune drops keys that "
            "nothing needs."
        )
    return 0


def prune_keys(*, as_json: bool) -> int:
    """Drop data keys that encrypt nothing any more."""
    keyring = open_keyring()
    objects, values = _uses(keyring)
    needed = {keyring.active_key().key_id, *objects, *values}
    settled = datetime.now(UTC) - keyring.active_since() >= SETTLING
    unused = [key for key in keyring.data_key_ids() if settled and key not in needed]
    _note(keyring, "encryption.prune")
    for key_id in unused:
        keyring.drop_data_key(key_id)
    typer.echo(write_json({"dropped": unused}) if as_json else f"Dropped {len(unused)} keys.")
    return 0


def rewrap(*, as_json: bool) -> int:
    """Wrap the keyring with the first of the master keys given; the others are needed no more."""
    keyring = open_keyring()
    _note(keyring, "encryption.rewrap")
    changed = keyring.rewrap()
    typer.echo(
        write_json({"rewrapped": changed})
        if as_json
        else f"Wrapped {changed} keys anew; backups made before need the old master key."
    )
    return 0


def _uses(keyring: Keyring) -> tuple[dict[str, int], dict[str, int]]:
    engine = open_engine(database_url())
    upgrade(engine)
    values = sealed_under(engine, METADATA.sorted_tables)
    engine.dispose()
    return open_objects(keyring=keyring).keys_in_use(), values


def _note(keyring: Keyring, operation: str) -> None:
    event = AuditEvent(
        category=Category.SECURITY_ALERT,
        action=Action.UPDATE,
        outcome=Outcome.ALLOWED,
        operation=operation,
        actor=operator().id,
        role="operator",
        purpose=Purpose.OPERATIONS,
        object_type="keyring",
    )
    with recording(keyring) as recorder:
        recorder.record(event).wait()
