"""`zhuzhen train MODEL`: the door to the training pipeline."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from models.errors import DataError, ZhuzhenError
from models.package import ModelPackage
from models.store import home

_STDERR = Console(stderr=True)


def train(
    model: Annotated[str, typer.Argument(help="A configuration's name, or a YAML file.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of all data sets; by default ZHUZHEN_DATA.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder that gets <name>/<version>/; by default ZHUZHEN_HOME/models."),
    ] = None,
    from_reviews: Annotated[
        Path | None,
        typer.Option(help="Reviews to train on too: JSON Lines, with their images beside them."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object with the package on stdout.")
    ] = False,
) -> None:
    """Train MODEL from its data to a released package; continues where it was stopped."""
    try:
        package = _train(model, _data_folder(data), out or home() / "models", from_reviews)
    except ZhuzhenError as error:
        _STDERR.print(f"[red]{error}[/red]", highlight=False)
        raise typer.Exit(1) from error
    reference = package.reference_to
    if as_json:
        told = {"model": reference.name, "version": reference.version, "digest": reference.digest}
        typer.echo(json.dumps(told))
    else:
        typer.echo(f"{reference.name} {reference.version} {reference.digest}")


def _train(model: str, data: Path, out: Path, reviews: Path | None) -> ModelPackage:
    # Torch and MLflow take seconds to import, which a mistyped option need not wait for.
    from training.config import TrainConfig, load_any_config
    from training.pipeline import Places, run

    config = load_any_config(model)
    places = Places(data, home(), out)
    with ProgressWatch() as watch:
        if isinstance(config, TrainConfig):
            return run(config, replace(places, reviews=reviews), watch)
        if reviews is not None:
            raise DataError("Reviews are of images; a model of people is not trained on them.")
        from training.tables.pipeline import run_table

        return run_table(config, places, watch)


def _data_folder(given: Path | None) -> Path:
    named = given or os.environ.get("ZHUZHEN_DATA")
    if not named or not Path(named).is_dir():
        raise DataError(
            "The folder of the data sets is not known: name it by ZHUZHEN_DATA or --data. It "
            "holds one folder for each data set, for example chest_xray_kermany."
        )
    return Path(named)


class ProgressWatch:
    """Shows on standard error how a training goes."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=_STDERR, transient=True)
        self._epoch: TaskID | None = None

    def __enter__(self) -> "ProgressWatch":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def stage(self, text: str) -> None:
        """Tell that a new stage begins."""
        self._end_epoch()
        self._progress.console.print(f"- {text}", highlight=False)

    def step(self, done: int, total: int) -> None:
        """Move the bar of the epoch."""
        if self._epoch is None:
            self._epoch = self._progress.add_task("epoch", total=total)
        self._progress.update(self._epoch, completed=done)

    def epoch(self, member: int, epoch: int, scores: dict[str, float]) -> None:
        """Tell the scores of a finished epoch."""
        self._end_epoch()
        told = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
        text = f"  member {member + 1}, epoch {epoch + 1}: {told}"
        self._progress.console.print(text, highlight=False)

    def _end_epoch(self) -> None:
        if self._epoch is not None:
            self._progress.remove_task(self._epoch)
            self._epoch = None
