"""`zhuzhen person`: its commands; what they do is imported when they are called.

A patient's number is read from a file, not from the command line, which other users see.
"""

from pathlib import Path
from typing import Annotated

import typer

person_app = typer.Typer(
    no_args_is_help=True,
    help="What there is of one person: copy it, erase it, keep it under a legal hold.",
)

Institution = Annotated[str, typer.Option(help="Institution whose patient it is.")]
NumberFile = Annotated[
    Path, typer.Option(help="File that holds the patient's number; - reads standard input.")
]
Issuer = Annotated[
    str | None,
    typer.Option(help="Who gave the number, where images name another than the institution."),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Write one JSON object a line to standard output, nothing else."),
]


@person_app.command("export")
def export_person(
    target: Annotated[Path, typer.Argument(help="New zip file.", dir_okay=False)],
    institution: Institution,
    number_file: NumberFile,
    issuer: Issuer = None,
    json: Json = False,
) -> None:
    """Write a copy of everything that there is of a person into a zip file."""
    from serving.cli import personal_requests as requests

    requests.export(target, requests.Whose(institution, number_file, issuer), as_json=json)


@person_app.command("erase")
def erase_person(
    institution: Institution, number_file: NumberFile, issuer: Issuer = None, json: Json = False
) -> None:
    """Remove everything of a person but what the law keeps; a legal hold refuses it."""
    from serving.cli import personal_requests as requests

    requests.erase(requests.Whose(institution, number_file, issuer), as_json=json)


@person_app.command("hold")
def hold_person(
    institution: Institution,
    number_file: NumberFile,
    reason: Annotated[str, typer.Option(help="One word, or a file number; nothing of the person.")],
    issuer: Issuer = None,
    json: Json = False,
) -> None:
    """Keep everything of a person until the hold is lifted."""
    from serving.cli import personal_requests as requests

    requests.hold(requests.Whose(institution, number_file, issuer), reason, as_json=json)


@person_app.command("holds")
def list_holds(json: Json = False) -> None:
    """List legal holds, lifted ones too."""
    from serving.cli import personal_requests as requests

    requests.show_holds(as_json=json)


@person_app.command("lift")
def lift_hold(
    hold_id: Annotated[str, typer.Argument(help="Number of the hold.", metavar="HOLD")],
    json: Json = False,
) -> None:
    """End a legal hold."""
    from serving.cli import personal_requests as requests

    requests.lift(hold_id, as_json=json)
