"""`zhuzhen backup` and `zhuzhen restore`."""

from dataclasses import asdict
from pathlib import Path

import typer

from serving.answers import write_json
from serving.audit import Action, AuditEvent, Category, Outcome, Purpose
from serving.audit.opening import recording
from serving.backup import make_backup, restore_backup
from serving.identity.local import operator
from serving.privacy import open_keyring
from serving.records import database_url, open_engine, upgrade


def back_up(target: Path, *, as_json: bool) -> int:
    """Write a backup into `target` and record that it was made."""
    engine = open_engine(database_url())
    upgrade(engine)
    engine.dispose()
    event = AuditEvent(
        category=Category.DATA_EXPORT,
        action=Action.READ,
        outcome=Outcome.ALLOWED,
        operation="backup.make",
        actor=operator().id,
        role="operator",
        purpose=Purpose.OPERATIONS,
        object_type="installation",
    )
    # Before, so that the backup itself knows of it.
    with recording(open_keyring()) as recorder:
        recorder.record(event).wait()
    made = make_backup(target)
    if as_json:
        typer.echo(write_json({"file": target.name, "files": len(made.sha256)}))
    else:
        typer.echo(
            f"{target}: {len(made.sha256)} files. The master key is not in it; keep it elsewhere."
            "\n备份不含主密钥，请另行妥善保管。"
        )
    return 0


def restore(source: Path, *, as_json: bool) -> int:
    """Restore `source` into an empty installation; 1 if its audit record is not intact."""
    restored = restore_backup(source, operator().id)
    intact = restored.verification.intact
    if as_json:
        typer.echo(write_json(asdict(restored) | {"intact": intact}))
    else:
        typer.echo(f"Restored {restored.files} files of the backup of {restored.created_at}.")
        if restored.lost_checkpoints:
            typer.echo(
                f"The anchor file knew {restored.lost_checkpoints} later checkpoints: events after "
                "the backup are not in it. The old anchor is kept beside the new one."
            )
        told = "is intact" if intact else "is NOT intact: run zhuzhen audit verify"
        typer.echo(f"The audit record {told}.")
    return 0 if intact else 1
