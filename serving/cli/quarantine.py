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
    app.command("accept-quarantined")(accept)


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


def accept(
    number: Number,
    reason: Annotated[
        str,
        typer.Option(help="One word, or a file number; nothing of the patient. It is on record."),
    ],
    whole_study: Annotated[
        bool,
        typer.Option(help="Set all that is known of its study aside, as another patient's."),
    ] = False,
    json: Json = False,
) -> None:
    """Decide that it is right: it takes the place of what is known, and the study is read anew.

    What was known goes into quarantine; accepting that takes the decision back.
    """
    from serving.cli.quarantine_orders import accept

    accepted = accept(number, reason, whole_study=whole_study)
    if json:
        typer.echo(write_json({"accepted": number, **asdict(accepted)}))
        return
    typer.echo(
        f"{number} is accepted; study {accepted.study_uid} is read anew. / "
        "已采纳，该检查将重新预读。"
    )
    if accepted.replaced:
        numbers = ", ".join(map(str, accepted.replaced))
        typer.echo(f"In quarantine instead / 已移入隔离区: {numbers}.")
    if accepted.sent_to:
        typer.echo(
            "Have the results on the study as it was removed, which may be at / "
            f"原检查的预读结果可能已发送至以下目的地，请在该处删除: {', '.join(accepted.sent_to)}."
        )


def _local(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
