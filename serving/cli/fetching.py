"""`zhuzhen node`: studies fetched from a PACS; what the commands do is imported when called."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serving.answers import write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from serving.fetching.orders import FetchLine

node_app = typer.Typer(
    no_args_is_help=True, help="The imaging node: have studies fetched from a PACS."
)
Json = Annotated[
    bool,
    typer.Option("--json", help="Write one JSON object a line to standard output, nothing else."),
]


@node_app.command("fetch")
def fetch(
    source: Annotated[str, typer.Argument(help="A source with `fetch`, by its name in node.yaml.")],
    study: Annotated[
        list[str] | None, typer.Option(help="Study Instance UID; several times for several.")
    ] = None,
    accession: Annotated[
        str, typer.Option(help="Accession Number, that the PACS is searched for.")
    ] = "",
    patient_file: Annotated[
        Path | None,
        typer.Option(
            help="File with a Patient ID (- for standard input, so that no history keeps it): all "
            "of the patient's studies.",
            allow_dash=True,
        ),
    ] = None,
    priors: Annotated[
        int, typer.Option(help="Also so many earlier studies of the patient, after them.", min=0)
    ] = 0,
    urgent: Annotated[bool, typer.Option(help="Before what is fetched as a routine.")] = False,
    wait_s: Annotated[
        float, typer.Option(help="Seconds to wait until everything is here.", min=0)
    ] = 0.0,
    json: Json = False,
) -> None:
    """Have studies fetched; the running node does it, however long the PACS is away.

    The exit status is 0 if all are queued and, where it is waited for, here.
    """
    from serving.cli.fetch_orders import order, read_number
    from serving.fetching.ordering import Order

    patient_id = read_number(patient_file) if patient_file else ""
    wanted = Order(tuple(study or ()), accession, patient_id, priors, urgent)
    ordered = order(source, wanted)
    lines = _settled(ordered, wait_s)
    _tell(lines, as_json=json)
    done = all(line.state == "done" for line in lines)
    raise typer.Exit(0 if lines and (done or not wait_s) else 1)


@node_app.command("fetches")
def fetches(
    state: Annotated[
        str | None, typer.Option(help="Only those: queued, done, cancelled or failed.")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.", min=1)] = 100,
    json: Json = False,
) -> None:
    """List what was, is, or could not be fetched."""
    from serving.cli.fetch_orders import show

    _tell(show(state, limit), as_json=json)


@node_app.command("cancel-fetch")
def cancel(
    fetch_id: Annotated[str, typer.Argument(help="Identifier, as `node fetches` shows it.")],
    json: Json = False,
) -> None:
    """Give up what is not fetched yet; what has come of it stays."""
    from serving.cli.fetch_orders import cancel

    cancel(fetch_id)
    told = {"cancelled": fetch_id}
    typer.echo(write_json(told) if json else f"{fetch_id} is cancelled.")


@node_app.command("retry-fetch")
def retry(
    fetch_id: Annotated[str, typer.Argument(help="Identifier, as `node fetches` shows it.")],
    json: Json = False,
) -> None:
    """Try anew what could not be fetched."""
    from serving.cli.fetch_orders import retry

    retry(fetch_id)
    told = {"retried": fetch_id}
    typer.echo(write_json(told) if json else f"{fetch_id} is queued again.")


def _settled(ordered: "Sequence[str]", wait_s: float) -> "list[FetchLine]":
    from serving.fetching.orders import list_fetches

    engine = _engine()
    deadline = time.monotonic() + wait_s
    while True:
        lines = [line for line in list_fetches(engine, limit=1000) if line.id in ordered]
        if time.monotonic() >= deadline or all(line.state != "queued" for line in lines):
            return lines
        time.sleep(0.2)


def _tell(lines: "Sequence[FetchLine]", *, as_json: bool) -> None:
    if as_json:
        for line in lines:
            typer.echo(write_json(asdict(line)))
        return
    from rich.table import Column, Table

    from serving.cli.answers_table import console_for_people

    whole = [Column(name, no_wrap=True) for name in ("fetch", "priority", "state")]
    folded = [
        Column(name, overflow="fold") for name in ("created", "source", "study", "here", "why")
    ]
    table = Table(*whole, *folded)
    for line in lines:
        created = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line.created_at))
        here = f"{line.here} of {'?' if line.listed is None else line.listed}"
        told = (created, line.source, line.study_instance_uid, here, line.reason)
        table.add_row(line.id, line.priority, line.state, *told)
    console_for_people().print(table)


def _engine() -> "Engine":
    from serving.records import database_url, open_engine, upgrade

    engine = open_engine(database_url())
    upgrade(engine)
    return engine
