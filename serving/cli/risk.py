"""`zhuzhen risk`: its commands; what they do is imported when they are called."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

risk_app = typer.Typer(
    no_args_is_help=True,
    help="Published risk scores: which there are, what they take, a person's score. / 风险评分。",
)

ScoreId = Annotated[
    str, typer.Argument(help="Such as china-par; `zhuzhen risk list` has them all.")
]
JsonLines = Annotated[
    bool,
    typer.Option("--json", help="Write one JSON object a line to standard output, nothing else."),
]


PeopleFile = Annotated[
    Path,
    typer.Argument(
        help="Table of people (.csv, .parquet), FHIR resources (.ndjson, a Bundle each line), or "
        "the folder of a bulk export (Patient.ndjson and so on).",
        metavar="IN",
    ),
]
ScoredFile = Annotated[
    Path,
    typer.Argument(
        help="Table with the scores (.csv, .parquet); of FHIR resources .ndjson as well.",
        metavar="OUT",
    ),
]
Given = Annotated[
    list[str] | None,
    typer.Option(
        help="An input of all whose data do not tell it, such as region_of_china=north; may be "
        "repeated.",
        metavar="NAME=VALUE",
    ),
]
ListsComplete = Annotated[
    bool,
    typer.Option(
        "--lists-complete",
        help="FHIR: conditions and medications are complete; what is absent is not there.",
    ),
]


class Language(StrEnum):
    """In which reasons are written."""

    ENGLISH = "en"
    CHINESE = "zh"


@risk_app.command("list")
def list_risk_scores(json: JsonLines = False) -> None:
    """List all scores, and why some are off."""
    from serving.cli.risk_scores import list_scores

    list_scores(as_json=json)


@risk_app.command("show")
def show_risk_score(score: ScoreId, json: JsonLines = False) -> None:
    """Say what a score takes, for whom it was made, and how it was verified."""
    from serving.cli.risk_scores import show_score

    show_score(score, as_json=json)


@risk_app.command("score")
def score_person(
    score: ScoreId,
    json: Annotated[
        str,
        typer.Option(
            "--json",
            help="What is known, as a JSON object by the names of inputs: "
            '{"age_years": 58, "total_cholesterol_mmol_l": {"value": 200, "unit": "mg/dL"}}; '
            "- reads it from standard input. The answer is one JSON object, too.",
            metavar="JSON",
        ),
    ] = "",
    person: Annotated[
        str,
        typer.Option(
            "--person",
            help="The same, with an answer for people to read.",
            metavar="JSON",
        ),
    ] = "",
) -> None:
    """Score one person. SCORE may be `applicable`: all that apply, and why others do not.

    The exit status is 0 when there was an answer; that an input is missing is an answer. It is 1
    when what was sent cannot be read or the score is not enabled.
    """
    from serving.cli.risk_scores import score_one

    score_one(score, json or person, as_json=bool(json))


@risk_app.command("batch")
def score_table_of_people(
    score: ScoreId,
    source: PeopleFile,
    target: ScoredFile,
    language: Annotated[Language, typer.Option(help="Of the reasons.")] = Language.ENGLISH,
    given: Given = None,
    lists_complete: ListsComplete = False,
    plot: Annotated[
        Path | None, typer.Option(help="Picture of the distribution; by default OUT as .png.")
    ] = None,
    json: JsonLines = False,
) -> None:
    """Score a file of people: each gets a number or a reason, and keeps its place.

    A run that was killed goes on behind what it had finished.
    """
    from serving.cli.populations import score_population
    from serving.risk.known import read_known

    known = read_known(given or (), lists_complete=lists_complete)
    score_population(
        score,
        source,
        target,
        language=language.value,
        known=known,
        plot=plot,
        as_json=json,
    )
