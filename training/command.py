"""`zhuzhen train MODEL`: the door to the training pipeline."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from datasets.command import data_folder
from models.errors import DataError, ZhuzhenError
from models.findings import ModelReference
from models.package import ModelPackage
from models.store import home

_STDERR = Console(stderr=True)


Model = Annotated[str, typer.Argument(help="A configuration's name, or a YAML file.")]
Data = Annotated[
    Path | None,
    typer.Option(help="Folder of all data sets; by default ZHUZHEN_DATA, else here."),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder that gets <name>/<version>/; by default ZHUZHEN_HOME/models."),
]
Reviews = Annotated[
    Path | None,
    typer.Option(help="Reviews to train on too: JSON Lines, with their images beside them."),
]
Trials = Annotated[
    int | None,
    typer.Option("--search", help="Release nothing; try so many values of search.space.", min=1),
]
Best = Annotated[
    Path | None,
    typer.Option(help="Where --search writes the best; by default <name>-best.yaml here."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def train(
    model: Model,
    data: Data = None,
    out: Out = None,
    from_reviews: Reviews = None,
    trials: Trials = None,
    best: Best = None,
    as_json: Json = False,
) -> None:
    """Train MODEL from its data to a released package; continues where it was stopped."""
    try:
        if trials is not None:
            _search(model, trials, data_folder(data), best, as_json)
            return
        package = _train(model, data_folder(data), out or home() / "models", from_reviews)
    except ZhuzhenError as error:
        _STDERR.print(f"[red]{error}[/red]", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    if package is not None:
        _tell(package.reference_to, as_json)


def _tell(reference: ModelReference, as_json: bool) -> None:
    if as_json:
        told = {"model": reference.name, "version": reference.version, "digest": reference.digest}
        typer.echo(json.dumps(told))
    else:
        typer.echo(f"{reference.name} {reference.version} {reference.digest}")


def _search(model: str, trials: int, data: Path, best: Path | None, as_json: bool) -> None:
    from training.pipeline import Places
    from training.search import search
    from training.search import told as in_words

    written = best or Path(f"{Path(model).stem}-best.yaml")
    with ProgressWatch() as watch:
        found = search(model, trials, Places(data, home(), home() / "models"), watch, written)
    if as_json:
        told = {**asdict(found), "configuration": str(found.configuration)}
        typer.echo(json.dumps(told))
        return
    typer.echo(
        f"{found.trials} trials, {found.pruned} pruned; best {found.criterion} {found.score:.4f} "
        f"on the validation part, with {in_words(found.values)}. "
        f"Train it with `zhuzhen train {found.configuration}`."
    )


def _train(model: str, data: Path, out: Path, reviews: Path | None) -> "ModelPackage | None":
    """Return the package; None in those processes of a team that do not lead it."""
    # Torch and MLflow take seconds to import, which a mistyped option need not wait for.
    from training.config import TrainConfig, load_any_config
    from training.pipeline import Places, follow, run
    from training.team import assembled

    config = load_any_config(model)
    places = Places(data, home(), out, reviews)
    with assembled() as team, ProgressWatch(silent=not team.leads) as watch:
        if isinstance(config, TrainConfig):
            if not team.leads:
                follow(config, places, watch, team)
                return None
            return run(config, places, watch, team)
        if reviews is not None:
            raise DataError("Reviews are of images; a model of people is not trained on them.")
        from training.tables.pipeline import run_table

        # It takes seconds: the others have nothing to do.
        return run_table(config, places, watch) if team.leads else None


class ProgressWatch:
    """Shows on standard error how a training goes."""

    def __init__(self, silent: bool = False) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        console = Console(quiet=True) if silent else _STDERR
        # In a notebook Rich draws bars by a library that is not needed otherwise.
        self._progress = Progress(
            *columns, console=console, transient=True, disable=console.is_jupyter
        )
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
