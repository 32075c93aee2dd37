"""Commands that other parts of the installation bring: the entry points `zhuzhen.commands`.

This is how `zhuzhen train` exists although the service never imports the training: what an entry
point names is imported only when the command is called. A name with a dot is a command of a group:
`data.check` is `zhuzhen data check`.
"""

import sys
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer

GROUP = "zhuzhen.commands"
"""Each entry point of this group names the function of a Typer command."""

_HELP = {
    "data": "Data sets: list, check and describe them (needs the training part installed).",
    "data.check": "Look for copies, label conflicts, unreadable files and shortcut suspects.",
    "data.list": "List the data sets that are described, and how to obtain each.",
    "data.manifest": "Write the manifest of a data set and its data sheet.",
    "models.compare": "Compare two versions on their locked set and draw the difference.",
    "models.history": "List every change of the champion: when, by whom, what the gate said.",
    "models.promote": "Make the challenger the champion, if it passes the gate.",
    "models.pull": "Bring the version that an alias means into the local store.",
    "models.register": "Register a package that was not trained here, with its locked set.",
    "models.rollback": "Make champion again what was champion before.",
    "monitor": "Has what a model sees and says moved? (Needs the training part installed.)",
    "monitor.baseline": "Make the readings of a period the reference of a version.",
    "monitor.report": "Hold what a model saw and said against its reference; to be run daily.",
    "monitor.trial": "Count alarms on replays of unchanged and shifted streams.",
    "risk.recalibrate": "Fit a published score to local people with outcomes, as a package.",
    "train": "Make a model package from its data (needs the training part installed).",
}
_PASS_EVERYTHING_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def add_installed_commands(app: typer.Typer, groups: Mapping[str, typer.Typer]) -> None:
    """Add a command to `app` for every entry point of the group, importing none of them.

    `groups` are the groups of commands that `app` has already; others are made as they are named.
    """
    known = dict(groups)
    # An editable installation may be found twice: in the environment and in the working directory.
    for entry_point in {entry.name: entry for entry in entry_points(group=GROUP)}.values():
        group, _, command = entry_point.name.rpartition(".")
        if group and group not in known:
            known[group] = typer.Typer(no_args_is_help=True, help=_HELP.get(group))
            app.add_typer(known[group], name=group)
        _add(known[group] if group else app, command, entry_point)


def run_installed(name: str, load: Callable[[], Callable[..., Any]], arguments: list[str]) -> None:
    """Run the command whose function `load` returns; ends with the command's exit status."""
    try:
        command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        command.command()(load())
        command(arguments, prog_name=f"zhuzhen {name}")
    except ModuleNotFoundError as error:
        typer.echo(_how_to_install(name, error.name or "a package"), err=True)
        sys.exit(1)


def _add(app: typer.Typer, command: str, entry_point: EntryPoint) -> None:
    name = entry_point.name.replace(".", " ")

    @app.command(
        command,
        help=_HELP.get(entry_point.name, f"zhuzhen {name} --help says what it does."),
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
