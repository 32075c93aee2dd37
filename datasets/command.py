"""`zhuzhen data ...`: the doors to data sets."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from models.errors import DataError, ZhuzhenError

_STDERR = Console(stderr=True)

Name = Annotated[str, typer.Argument(help="A data set's name, or a YAML file that describes one.")]
Data = Annotated[
    Path | None, typer.Option(help="Folder of all data sets; by default ZHUZHEN_DATA.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def data_folder(given: Path | None) -> Path:
    """Return the folder of all data sets: `given`, else `ZHUZHEN_DATA`, else here.

    Raises:
        DataError: what was named is no folder.
    """
    named = Path(given or os.environ.get("ZHUZHEN_DATA") or ".")
    if not named.is_dir():
        raise DataError(
            "The folder of the data sets is not there: name it by ZHUZHEN_DATA or --data. It "
            "holds one folder for each data set, for example chest_xray_kermany."
        )
    return named


@contextmanager
def told_errors() -> Iterator[None]:
    """Tell an error in one sentence and end with status 1."""
    try:
        yield
    except ZhuzhenError as error:
        _STDERR.print(f"[red]{error}[/red]", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error


@contextmanager
def _progress(told: str) -> Iterator[Any]:
    columns = (TextColumn(told), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # In a notebook Rich draws bars by a library that is not needed otherwise.
    off = _STDERR.is_jupyter
    with Progress(*columns, console=_STDERR, transient=True, disable=off) as bar:
        task = bar.add_task(told)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def check(
    name: Name,
    data: Data = None,
    out: Annotated[
        Path | None, typer.Option(help="The HTML report; by default NAME-check.html.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Look for copies, label conflicts, unreadable files, missing groups and shortcut suspects.

    The exit status is 0 where nothing keeps the data from being trained on.
    """
    with told_errors():
        from datasets.checks.page import write_page
        from datasets.checks.run import check as look_through
        from datasets.description import load_description

        description = load_description(name)
        with _progress("Looking through") as progress:
            found = look_through(name, data_folder(data), progress)
        page = out or Path(f"{description.name}-check.html")
        write_page(found, description, page)
    problems = [
        {**asdict(problem), "pictures": len(problem.pictures)} for problem in found.problems
    ]
    if as_json:
        told = {
            "name": description.name,
            "version": description.version,
            "digest": found.digest,
            "passed": found.passed,
            "samples": len(found.seen.samples),
        }
        typer.echo(json.dumps({**told, "problems": problems, "report": str(page)}))
    else:
        for problem in found.problems:
            typer.echo(f"{problem.severity}: {problem.kind} ({problem.count}): {problem.told.en}")
            for example in problem.examples[:3]:
                typer.echo(f"    {example}")
        typer.echo(f"{'passed' if found.passed else 'NOT PASSED'}: {page}")
    raise typer.Exit(0 if found.passed else 1)


def manifest(
    name: Name,
    out: Annotated[Path, typer.Option(help="The Parquet file to write.")],
    data: Data = None,
    from_reviews: Annotated[
        Path | None, typer.Option(help="Reviews that make its next version: JSON Lines.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the manifest of a data set, with its data sheet beside it as NAME.md.

    Every picture is decoded first: there is no manifest of one that cannot be read.
    """
    with told_errors():
        from datasets.description import load_description
        from datasets.manifest_file import write_manifest
        from datasets.pictures import require_readable
        from datasets.reading import read
        from datasets.reviews.merging import reviewed
        from datasets.sheet import render_sheet

        made, reviews = read(name, data_folder(data)), None
        if from_reviews is not None:
            made, reviews = reviewed(made, from_reviews)
        pictures = [] if made.is_table else [(made.path_of(s), s.sample_id) for s in made]
        with _progress("Decoding") as progress:
            require_readable(pictures, progress)
        write_manifest(made, out)
        sheet = out.with_suffix(".md")
        sheet.write_text(render_sheet(load_description(name), made, reviews), encoding="utf-8")
    told = {"name": made.source, "version": made.version, "digest": made.digest}
    told |= {"samples": str(len(made)), "manifest": str(out), "sheet": str(sheet)}
    typer.echo(json.dumps(told) if as_json else f"{made.source} {made.version} {made.digest}")


def list_sets(as_json: Json = False) -> None:
    """List the data sets that are described, and how to obtain each."""
    from datasets.description import available, load_description

    for name in available():
        described = load_description(name)
        sheet = described.sheet
        if as_json:
            typer.echo(json.dumps({"name": name, "version": described.version, **sheet}))
        else:
            typer.echo(f"{name} {described.version}: {sheet['title']['en']} ({sheet['licence']})")
            typer.echo(f"    {sheet['origin']}\n    {sheet['obtain']}\n")
