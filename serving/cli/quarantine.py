"""`zhuzhen node quarantine`: what was refused; what the commands do is imported when called."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from serving.answers import write_json
from serving.cli.fetching import Json

Number = Annotated[int, typer.Argument(help="Its number, as `node quarantine` shows it.")]


def add_quarantine_commands(app: typer.Typer) -> None:
    """Add the commands to `app`, which are those of `zhuzhen node`."""
    app.command("quarantine")(quarantine)
    app.command("save-quarantined")(save)
    app.command("discard-quarantined")(discard)


def quarantine(
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.", min=1)] = 100,
    json: Json = False,
) -> None:
    """List what was refused and lies in quarantine, with what its sender was told."""
    from serving.cli.quarantine_orders import show
    from serving.cli.rows import show_rows

    lines = [asdict(line) for line in show(limit)]
    if not json:
        lines = [
            line | {"received": _local(line["received_at"]), "bytes": line["size"]}
            for line in lines
        ]
    columns = ("id", "received", "source", "reason", "bytes", "sop_instance_uid", "told")
    show_rows(lines, columns, as_json=json)


def save(
    number: Number,
    file: Annotated[Path, typer.Argument(help="A new file; it may hold a patient's data.")],
    json: Json = False,
) -> None:
    """Write what lies in quarantine into a file, byte by byte as it was sent."""
    from serving.cli.quarantine_orders import save

    save(number, file)
    typer.echo(write_json({"saved": number}) if json else f"{number} is saved.")


def discard(number: Number, json: Json = False) -> None:
    """Remove what lies in quarantine for good."""
    from serving.cli.quarantine_orders import discard

    discard(number)
    typer.echo(write_json({"discarded": number}) if json else f"{number} is discarded.")


def _local(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
