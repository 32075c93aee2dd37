"""`zhuzhen monitor report|baseline|trial`: the doors to monitoring."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from models import store
from models.errors import DataError, ZhuzhenError
from models.institution_names import read_names
from models.observation import OBSERVED, Observation, folder_of, line_of, read_days, read_file

if TYPE_CHECKING:
    from training.second_opinions import SecondOpinions

_STDERR = Console(stderr=True)

Name = Annotated[str, typer.Argument(help="The name of a model.")]
Version = Annotated[str | None, typer.Option(help="Of the model; by default the champion.")]
Days = Annotated[int, typer.Option(help="How many days, up to and with --until.", min=1)]
Until = Annotated[str | None, typer.Option(help="The last day, YYYY-MM-DD; by default today, UTC.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


@contextmanager
def _told_errors() -> Iterator[None]:
    try:
        yield
    except ZhuzhenError as error:
        _STDERR.print(f"[red]{error}[/red]", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error


def baseline(
    name: Name,
    version: Version = None,
    days: Days = 14,
    until: Until = None,
    institution: Annotated[
        str | None, typer.Option(help="Take its readings alone; by default all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the readings of a period that was looked at the reference of a version."""
    with _told_errors():
        from training.drift import FEWEST

        version = version or store.load(name).reference_to.version
        found = [
            each
            for each in read_days(name, OBSERVED, *_span(days, until))
            if each.version == version and institution in (None, each.institution)
        ]
        if len(found) < FEWEST:
            raise DataError(
                f"There are {len(found)} readings of {name} {version} in these days; a reference "
                f"needs {FEWEST}. Name more days."
            )
        path = _reference_path(name, version)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(map(line_of, found)), encoding="utf-8")
    told = {"model": name, "version": version, "readings": len(found), "reference": str(path)}
    typer.echo(json.dumps(told) if as_json else f"{len(found)} readings are the reference: {path}")


def report(
    name: Name,
    version: Version = None,
    days: Days = 7,
    until: Until = None,
    reviews: Annotated[Path | None, typer.Option(help="Reviews of what the model said.")] = None,
    out: Annotated[Path | None, typer.Option(help="The HTML report.")] = None,
    as_json: Json = False,
) -> None:
    """Hold what a model saw and said against its reference, for each institution.

    Writes the HTML report and the gauges that `/metrics` shows; to be run daily.
    """
    with _told_errors():
        version = version or store.load(name).reference_to.version
        page, told = _report(name, version, _span(days, until), reviews, out)
    if as_json:
        typer.echo(json.dumps(told))
        return
    from training.monitoring_words import institution_title

    names = read_names()
    for drift in told["institutions"]:
        few = "" if drift["enough"] else " (too few to say anything)"
        title = institution_title(drift["institution"], names)
        alarms = ", ".join(drift["alarms"]) or "nothing moved"
        typer.echo(f"{title}: {drift['readings']} readings{few}: {alarms}")
    read = told["shadow_read"]["read"]
    if inputs := read + sum(told["shadow_read"]["skipped"].values()):
        typer.echo(f"shadow: {read} of {inputs} inputs read")
    typer.echo(str(page))


def trial(
    name: Name,
    shifted: Annotated[
        list[Path] | None, typer.Argument(help="Files of observations of a shifted stream.")
    ] = None,
    version: Version = None,
    against: Annotated[
        Path | None,
        typer.Option(help="A file of observations in the place of the version's reference."),
    ] = None,
    readings: Annotated[int, typer.Option(help="In each replayed stream.")] = 200,
    replays: Annotated[int, typer.Option(help="How many.")] = 100,
    seed: Annotated[int, typer.Option(help="Decides what is drawn.")] = 0,
    as_json: Json = False,
) -> None:
    """Count alarms on replays of an unchanged stream, and of shifted ones."""
    with _told_errors():
        from training.drift_trial import replay

        version = version or store.load(name).reference_to.version
        reference = list(read_file(against)) if against else _reference(name, version)
        streams = {"unchanged": reference}
        streams |= {path.stem: list(read_file(path)) for path in shifted or ()}
        for stream, observations in streams.items():
            found = replay(reference, observations, readings=readings, replays=replays, seed=seed)
            most = ", ".join(f"{key} {count}" for key, count in list(found.measures.items())[:5])
            text = f"{stream}: alarms in {found.alarms} of {replays} replays; {most or '-'}"
            typer.echo(json.dumps({"stream": stream, **asdict(found)}) if as_json else text)


def _span(days: int, until: str | None) -> tuple[date, date]:
    try:
        last = date.fromisoformat(until) if until else datetime.now(UTC).date()
    except ValueError as error:
        raise DataError(f"--until is {until!r}; expected a day as YYYY-MM-DD.") from error
    return last - timedelta(days=days - 1), last


def _reference_path(name: str, version: str) -> Path:
    return folder_of(name) / f"reference-{version}.jsonl"


def _reference(name: str, version: str) -> list[Observation]:
    path = _reference_path(name, version)
    if not path.is_file():
        raise DataError(
            f"{name} {version} has no reference yet; make one of a period that was looked at, with "
            f"`zhuzhen monitor baseline {name}`."
        )
    return list(read_file(path))


def _report(
    name: str, version: str, span: tuple[date, date], reviews: Path | None, out: Path | None
) -> tuple[Path, dict[str, Any]]:
    from models.drift_gauges import write_gauges
    from training.drift import as_json, by_institution, compare
    from training.monitoring_gauges import gauges_of
    from training.monitoring_page import write_page
    from training.monitoring_words import institution_name
    from training.second_opinions import second_opinions

    reference = _reference(name, version)
    found = [each for each in read_days(name, OBSERVED, *span) if each.version == version]
    streams = by_institution(found)
    drifts = [compare(who, reference, stream) for who, stream in streams.items()]
    others = second_opinions(name, version, span, reviews)
    names = read_names()
    page = out or folder_of(name) / "reports" / f"{span[1]}.html"
    write_page(
        page,
        model=name,
        version=version,
        days=span,
        drifts=drifts,
        streams=streams,
        reference=reference,
        names=names,
        others=others,
    )
    write_gauges(name, gauges_of(name, version, drifts, others))
    told = {"model": name, "version": version, "report": str(page)}
    institutions = [
        as_json(drift) | {"name": asdict(institution_name(drift.institution, names))}
        for drift in drifts
    ]
    return page, {**told, "institutions": institutions, **_opinions_json(others)}


def _opinions_json(others: "SecondOpinions") -> dict[str, Any]:
    return {
        "shadow": [asdict(each) for each in others.shadow],
        "shadow_read": asdict(others.shadow_read),
        "reviews": [asdict(each) for each in others.reviews],
        "shadow_reviews": [asdict(each) for each in others.reviewed],
    }
