"""`zhuzhen risk recalibrate`: fit a published score to local people, as a package of its own."""

import getpass
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from models.errors import ZhuzhenError
from models.findings import Text
from models.store import home

if TYPE_CHECKING:
    from models.risk.recalibration import Recalibration

_STDERR = Console(stderr=True)
_STDOUT = Console()
_FIGURES = ("observed_to_expected", "intercept", "slope", "auc", "brier", "calibration_error")


Score = Annotated[str, typer.Argument(help="A published score, such as china-par.")]
CohortFile = Annotated[
    Path, typer.Argument(help="The cohort, .csv or .parquet: inputs and outcome.", metavar="COHORT")
]
Outcome = Annotated[
    str,
    typer.Option(
        help="Column of the outcome: 0 no event, 1 the event, 2 another end (such as death of "
        "another cause)."
    ),
]
Name = Annotated[str, typer.Option(help="Of the recalibrated score, such as china-par-pudong.")]
Who = Annotated[str, typer.Option(help="Who these people are; every answer says it.")]
WhoZh = Annotated[str, typer.Option(help="The same in Chinese; by default as --cohort.")]
Time = Annotated[
    str | None,
    typer.Option(
        help="Column of the years of follow-up; without it, every outcome counts as that of the "
        "whole horizon."
    ),
]
Horizon = Annotated[
    float | None, typer.Option(help="Years; where the score has several, which one.")
]
Group = Annotated[
    str | None, typer.Option(help="Column of people who belong together, such as a person's rows.")
]
By = Annotated[
    str | None, typer.Option(help="Who answers for it; by default the user of this machine.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def recalibrate(
    score: Score,
    table: CohortFile,
    outcome: Outcome,
    name: Name,
    cohort: Who,
    cohort_zh: WhoZh = "",
    time: Time = None,
    horizon: Horizon = None,
    group: Group = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Fit intercept and slope of a published score to a cohort with outcomes.

    Two thirds of the people are fitted to, the others show whether it got better; where it did not,
    or where the cohort is too small, nothing is written and the exit status is 1. The result is
    served under its own name; the published score stays as it is.
    """
    try:
        from models.risk.registry import ENABLED_SETTING, enabled_by, usable
        from training.recalibration import pipeline
        from training.recalibration.cohort import CohortColumns, read_cohort

        published = usable(score, enabled_by(os.environ.get(ENABLED_SETTING, "")))
        order = pipeline.Order(
            name,
            pipeline.next_version(name),
            Text(cohort, cohort_zh or cohort),
            by or getpass.getuser(),
        )
        people = read_cohort(published, table, CohortColumns(outcome, time, group), horizon)
        made, evaluation = pipeline.recalibrate(people, order, home(), _STDERR.print)
    except ZhuzhenError as error:
        _STDERR.print(f"[red]{error}[/red]", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    folder = home() / "models" / made.name / made.version
    if as_json:
        told = {"name": made.name, "version": made.version, "digest": made.digest}
        typer.echo(json.dumps({**told, "folder": str(folder), "evaluation": evaluation}))
    else:
        _show(made, evaluation, folder)


def _show(made: "Recalibration", evaluation: Mapping[str, Any], folder: Path) -> None:
    held = evaluation["held_out"]
    table = Table("On the people held out", f"Published {made.of.id}", f"{made.name}")
    for figure in _FIGURES:
        table.add_row(
            figure.replace("_", " "), *(_told(held[when][figure]) for when in ("before", "after"))
        )
    for name, one in evaluation["fit"]["coefficients"].items():
        typer.echo(f"{name}: {_told(one)}")
    _STDOUT.print(table)
    typer.echo(made.told.zh)
    typer.echo(made.told.en)
    typer.echo(f"{made.name} {made.version}: {made.digest}\n{folder}")


def _told(one: Mapping[str, float]) -> str:
    return f"{one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})"
