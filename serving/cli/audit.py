"""`zhuzhen audit`: its commands; what they do is imported when they are called."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

audit_app = typer.Typer(
    no_args_is_help=True,
    help="The record of every access and change: verify it, export it, report to a patient.",
)

Json = Annotated[
    bool,
    typer.Option("--json", help="Write one JSON object a line to standard output, nothing else."),
]
Since = Annotated[datetime | None, typer.Option(help="From this moment on (UTC).")]
Until = Annotated[datetime | None, typer.Option(help="Before this moment (UTC).")]


@audit_app.command("verify")
def verify_audit(
    public_key: Annotated[
        list[Path] | None,
        typer.Option(help="Public key (PEM) to trust instead of the installation's own."),
    ] = None,
    anchor: Annotated[
        list[Path] | None,
        typer.Option(help="File of checkpoints kept elsewhere, one a line."),
    ] = None,
    json: Json = False,
) -> None:
    """Find out whether any event was removed, changed, moved, added or cut off.

    The exit status is 0 only if the record is intact.
    """
    from serving.cli.auditing import verify_record

    raise typer.Exit(verify_record(public_key or [], anchor or [], as_json=json))


@audit_app.command("export")
def export_audit(
    format_: Annotated[
        str, typer.Option("--format", help="fhir (R4 AuditEvent), dicom (PS3.15 A.5) or json.")
    ] = "fhir",
    since: Since = None,
    until: Until = None,
    patient: Annotated[str | None, typer.Option(help="Pseudonym of a patient.")] = None,
) -> None:
    """Write events to standard output, one a line, with pseudonyms in place of patients."""
    from serving.cli.auditing import export_record

    export_record(format_, since=since, until=until, patient=patient)


@audit_app.command("disclosures")
def report_disclosures(
    patient: Annotated[str | None, typer.Option(help="Pseudonym of the patient.")] = None,
    issuer: Annotated[str | None, typer.Option(help="Who gave the patient's number.")] = None,
    identifier_file: Annotated[
        Path | None,
        typer.Option(help="File that holds the patient's number; - reads standard input."),
    ] = None,
    language: Annotated[str, typer.Option(help="en or zh.")] = "en",
    json: Json = False,
) -> None:
    """Say who saw or changed a patient's records, when, why, and who was refused.

    A patient's number is read from a file, not from the command line, which other users see.
    """
    from serving.cli.auditing import report_patient

    report_patient(patient, issuer, identifier_file, language=language, as_json=json)


@audit_app.command("prune")
def prune_audit(
    keep_days: Annotated[int, typer.Option(help="Days that events are kept.")] = 5490,
    json: Json = False,
) -> None:
    """Remove events whose retention is over; those under legal hold stay, a tombstone says so."""
    from serving.cli.auditing import prune_record

    raise typer.Exit(prune_record(keep_days, as_json=json))


@audit_app.command("key")
def show_audit_key() -> None:
    """Write the public key that verifies checkpoints (PEM), to be kept by others."""
    from serving.cli.auditing import write_public_key

    write_public_key()
