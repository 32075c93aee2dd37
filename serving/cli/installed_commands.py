"""Commands that other parts of the installation bring: the entry points `zhuzhen.commands`.

This is how `zhuzhen train` exists although the service never imports the training: what an entry
point names is imported only when the command is called.
"""

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer

GROUP = "zhuzhen.commands"
"""Each entry point of this group names the function of a Typer command."""

_HELP = {"train": "Make a model package from its data (needs the training part installed)."}
_PASS_EVERYTHING_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def add_installed_commands(app: typer.Typer) -> None:
    """Add a command to `app` for every entry point of the group, importing none of them."""
    # An editable installation may be found twice: in the environment and in the working directory.
    for entry_point in {entry.name: entry for entry in entry_points(group=GROUP)}.values():
        _add(app, entry_point)


def run_installed(name: str, load: Callable[[], Callable[..., Any]], arguments: list[str]) -> None:
    """Run the command whose function `load` returns; ends with the command's exit status."""
    try:
        command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        command.command()(load())
        command(arguments, prog_name=f"zhuzhen {name}")
    except ModuleNotFoundError as error:
        typer.echo(_how_to_install(name, error.name or "a package"), err=True)
        sys.exit(1)


def _add(app: typer.Typer, entry_point: EntryPoint) -> None:
    name = entry_point.name

    @app.command(
        name,
        help=_HELP.get(name, f"zhuzhen {name} --help says what it does."),
        context_settings=_PASS_EVERYTHING_ON,
        # --help goes to the command itself.
        add_help_option=False,
    )
    def run(context: typer.Context) -> None:
        run_installed(name, entry_point.load, context.args)


def _how_to_install(command: str, missing: str) -> str:
    return (
        f"zhuzhen {command} needs {missing}, which is not installed here: the service's own "
        "environment is kept small.\nUse the full environment (make train MODEL=NAME), or add the "
        "training part to this one, from the project's folder:\n"
        f'    {sys.executable} -m pip install --constraint constraints.txt --editable ".[train]"'
    )
