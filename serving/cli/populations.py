"""`zhuzhen risk batch`: a table of people in, the same table with scores out."""

import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from models.errors import ZhuzhenError
from models.risk.registry import usable
from models.risk.score import Score
from serving.access import open_guard
from serving.answers import write_json
from serving.cli.operating import permit
from serving.identity.local import LOCAL
from serving.policy import Action, Target
from serving.risk.choosing import enabled_scores
from serving.risk.known import Known

if TYPE_CHECKING:
    from serving.risk.summaries import Summary

_STDERR = Console(stderr=True)
_NEEDED = ("pyarrow", "matplotlib")


class PopulationPartMissingError(ZhuzhenError):
    """What populations need is not installed."""


def score_population(
    score_id: str,
    source: Path,
    target: Path,
    *,
    language: str,
    known: Known,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Score `source` into `target` and tell what became of it.

    Raises:
        ZhuzhenError: the score is not known or not enabled, or a file cannot be used.
    """
    _require_part()
    from serving.risk.chart import draw_distribution
    from serving.risk.population import score_file

    score = usable(score_id, enabled_scores())
    with open_guard() as guard:
        permit(guard, "risk.batch", Action.SCORE_RISK, Target("assessment", LOCAL))
    columns = (SpinnerColumn(), TextColumn("people"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=_STDERR, transient=True) as progress:
        task = progress.add_task("people", total=None)
        summary = score_file(
            score,
            source,
            target,
            language=language,
            known=known,
            progress=lambda people: progress.advance(task, people),
        )
    picture = plot or target.with_suffix(".png")
    if summary.scored:
        draw_distribution(score, summary, picture)
    if as_json:
        told = {**asdict(summary), "output": str(target), "plot": str(picture)}
        typer.echo(write_json(told))
    else:
        _tell(score, summary, f"Written: {target}, {picture}")


def _require_part() -> None:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise PopulationPartMissingError(
            f"Scoring tables needs {' and '.join(missing)}; install the part with "
            "`pip install --constraint constraints.txt --editable '.[population]'`."
        )


def _tell(score: Score, summary: "Summary", written: str) -> None:
    table = Table(title=f"{score.id} {score.version}: {summary.people:,} people")
    table.add_column("what")
    table.add_column("people", justify="right")
    for name, count in (*summary.statuses.items(), *summary.categories.items()):
        table.add_row(name, f"{count:,}")
    for name, count in list(summary.refusals.items())[:12]:
        table.add_row(f"refused: {name}", f"{count:,}")
    console = Console(file=sys.stdout)
    console.print(table)
    spread = ", ".join(f"{name} {value:g}" for name, value in summary.quantiles.items())
    console.print(f"{score.unit}: {spread}\n{written}")
    if summary.strays:
        console.print(f"Not used: {summary.strays:,} resources of none of the patients.")
