"""What `zhuzhen audit` does."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from models.errors import ZhuzhenError
from serving.answers import write_json
from serving.audit import Action, AuditEvent, Category, Outcome, Purpose
from serving.audit.anchor import Anchor
from serving.audit.checkpoints import SignedCheckpoint, checkpoint_from_line, key_id_of
from serving.audit.disclosures import DisclosureReport
from serving.audit.exports import FORMATS, write_event
from serving.audit.opening import (
    anchor_path,
    audit_engine,
    recording,
    signer_of,
    trusted_keys,
)
from serving.audit.queries import Criteria, events_about, find_events
from serving.audit.retention import prune
from serving.audit.verification import Verification, snapshot, verify
from serving.identity.local import operator
from serving.privacy import Keyring, open_keyring, pseudonym_of
from serving.privacy.holds import held_patients
from serving.records import database_url, open_engine, upgrade


class AuditCommandError(ZhuzhenError, ValueError):
    """The command was given something that it cannot use."""


def verify_record(keys: Sequence[Path], anchors: Sequence[Path], *, as_json: bool) -> int:
    """Verify the record and say what is wrong with it; 0 if nothing is."""
    keyring = open_keyring()
    trusted = _keys_in(keys) if keys else trusted_keys(keyring)
    # Read before the record, which may go on growing.
    kept = [checkpoint for path in anchors for checkpoint in _checkpoints_in(path)]
    own = Anchor(anchor_path()).read()
    with audit_engine() as engine, snapshot(engine) as connection:
        found = verify(connection, trusted, [*kept, *([own] if own else [])])
    _note(keyring, "audit.verify", Outcome.ALLOWED if found.intact else Outcome.FAILED)
    if as_json:
        typer.echo(write_json(asdict(found) | {"intact": found.intact}))
    else:
        typer.echo(_told(found))
    return 0 if found.intact else 1


def export_record(
    format_: str, *, since: datetime | None, until: datetime | None, patient: str | None
) -> None:
    """Write the events wanted to standard output, one a line."""
    if format_ not in FORMATS:
        raise AuditCommandError(f"--format is not known; expected one of {', '.join(FORMATS)}.")
    wanted = Criteria(patient, _utc(since), _utc(until))
    _note(open_keyring(), "audit.export", Outcome.ALLOWED, patient)
    with audit_engine() as engine, snapshot(engine) as connection:
        for event in find_events(connection, wanted):
            sys.stdout.write(write_event(event, format_) + "\n")


def report_patient(
    patient: str | None,
    issuer: str | None,
    identifier_file: Path | None,
    *,
    language: str,
    as_json: bool,
) -> None:
    """Write the report on one patient to standard output."""
    keyring = open_keyring()
    if patient is None:
        if issuer is None or identifier_file is None:
            raise AuditCommandError(
                "No patient is named; give --patient PSEUDONYM, or --issuer and --identifier-file."
            )
        number = sys.stdin.read() if str(identifier_file) == "-" else identifier_file.read_text()
        patient = pseudonym_of(keyring, issuer, number)
    _note(keyring, "audit.disclosures", Outcome.ALLOWED, patient, Purpose.PATIENT_REQUEST)
    with audit_engine() as engine, snapshot(engine) as connection:
        report = DisclosureReport.of(patient, events_about(connection, patient))
    typer.echo(write_json(report.as_json()) if as_json else report.as_markdown(language))


def prune_record(keep_days: int, *, as_json: bool) -> int:
    """Verify the record, then remove what is older; 1 if it is not intact."""
    keyring = open_keyring()
    records = open_engine(database_url())
    with audit_engine() as engine:
        anchor = Anchor(anchor_path())
        own = anchor.read()
        with snapshot(engine) as connection:
            found = verify(connection, trusted_keys(keyring), [own] if own else [])
        if not found.intact:
            typer.echo(_told(found), err=True)
            typer.echo("Nothing was removed from a record that is not intact.", err=True)
            return 1
        upgrade(records)
        held = held_patients(records)
        with engine.connect() as connection:
            done = prune(
                connection,
                signer_of(keyring),
                keep=timedelta(days=keep_days),
                is_held=held.__contains__,
            )
        if done.checkpoint is not None:
            anchor.write(done.checkpoint)
    records.dispose()
    _note(keyring, "audit.prune", Outcome.ALLOWED)
    if as_json:
        typer.echo(write_json({"removed": done.removed, "kept": done.kept}))
    else:
        typer.echo(f"Removed {done.removed} events; a legal hold kept {done.kept}.")
    return 0


def write_public_key() -> None:
    """Write the public key of the installation's checkpoints."""
    key = signer_of(open_keyring()).key.public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    typer.echo(pem.decode(), nl=False)


def _note(
    keyring: Keyring,
    operation: str,
    outcome: Outcome,
    patient: str | None = None,
    purpose: Purpose = Purpose.AUDIT,
) -> None:
    """Record that the record was used, as any other access is."""
    event = AuditEvent(
        category=Category.AUDIT_LOG_USED,
        action=Action.READ,
        outcome=outcome,
        operation=operation,
        actor=operator().id,
        role="operator",
        purpose=purpose,
        patient=patient,
        object_type="audit_log",
    )
    with recording(keyring) as recorder:
        recorder.record(event).wait()


def _told(found: Verification) -> str:
    """Say what was found, in both languages."""
    counts = f"{found.events} events in {found.lanes} lanes, {found.checkpoints} checkpoints"
    if found.intact:
        told = f"The audit record is intact: {counts}.\n审计记录完整：{found.events} 条事件。"
        return told + _told_of_stops(found.unclean_stops)
    lines = [
        f"The audit record is NOT intact: {found.fault_count} faults ({counts}).",
        f"审计记录不完整：发现 {found.fault_count} 处异常。",
        *(f"  {fault.defect}: {fault.detail}" for fault in found.faults),
        "Keep the database, the anchor file and the log as they are, and compare with a backup.",
    ]
    return "\n".join(lines)


def _told_of_stops(count: int) -> str:
    if not count:
        return ""
    return (
        f"\nThe service stopped {count} times without saying so: after a loss of power, what "
        "institutions read of their own in the last moment before it may not be in the record."
        f"\n服务曾 {count} 次异常停止：若为断电，断电前瞬间各机构读取本机构数据的记录可能缺失。"
    )


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def _keys_in(paths: Sequence[Path]) -> dict[str, Ed25519PublicKey]:
    found = {}
    for path in paths:
        try:
            key = load_pem_public_key(path.read_bytes())
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise AuditCommandError(f"{path.name} is no Ed25519 public key in PEM.")
        found[key_id_of(key)] = key
    return found


def _checkpoints_in(path: Path) -> list[SignedCheckpoint]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [checkpoint_from_line(line) for line in lines if line.strip()]
