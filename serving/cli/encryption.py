"""`zhuzhen encryption`: its commands; what they do is imported when they are called."""

from typing import Annotated

import typer

encryption_app = typer.Typer(
    no_args_is_help=True,
    help="Keys that encrypt what is stored: change them while the service runs.",
)

Json = Annotated[
    bool,
    typer.Option("--json", help="Write one JSON object a line to standard output, nothing else."),
]


@encryption_app.command("status")
def show_encryption(json: Json = False) -> None:
    """Say how many objects and values each data key encrypts."""
    from serving.cli.keeping_keys import show_keys

    raise typer.Exit(show_keys(as_json=json))


@encryption_app.command("rotate")
def rotate_data_key(json: Json = False) -> None:
    """Make a data key and encrypt everything with it, while the service runs."""
    from serving.cli.keeping_keys import rotate

    raise typer.Exit(rotate(as_json=json))


@encryption_app.command("prune")
def prune_data_keys(json: Json = False) -> None:
    """Drop data keys that encrypt nothing any more; run it some time after a rotation."""
    from serving.cli.keeping_keys import prune_keys

    raise typer.Exit(prune_keys(as_json=json))


@encryption_app.command("rewrap")
def rewrap_keyring(json: Json = False) -> None:
    """Wrap the keyring with the first of the master keys given, of which there are several."""
    from serving.cli.keeping_keys import rewrap

    raise typer.Exit(rewrap(as_json=json))
