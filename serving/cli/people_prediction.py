"""`zhuzhen predict` of a model of people: tables in, one answer a row out."""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from models.errors import InputError
from models.findings import Text
from models.package import ModelPackage
from models.table import Given
from serving.access import Guard
from serving.answers import NOTICE, write_json
from serving.cli.answers_table import console_for_people
from serving.cli.operating import permit
from serving.people import TabularModel, assessment_answer
from serving.policy import Action

_LARGEST_BYTES = 256 * 2**20
_ALL_ANSWERED = 0
_NOT_ALL_READ = 1
_SHOWN_CONTRIBUTIONS = 3


def predict_people(
    guard: Guard, package: ModelPackage, files: Sequence[Path], *, as_json: bool
) -> int:
    """Answer for each person in `files`, in their order, and return the exit status.

    A file is a table (CSV with a header), one JSON object, or one JSON object a line.
    """
    model = TabularModel(package)
    status, answers = _ALL_ANSWERED, []
    for path in files:
        # That people are assessed is on record before the first of them is.
        permit(guard, "predict", Action.SCORE_RISK)
        source = os.fsencode(path).decode("utf-8", "replace")
        try:
            for number, person in _people(path):
                named = f"{source}:{number}"
                answer = assessment_answer(
                    model.assess(person), source=named, intended_use=package.statement
                )
                if as_json:
                    typer.echo(write_json(answer).encode())
                else:
                    answers.append(answer)
        except (OSError, InputError) as error:
            status = _NOT_ALL_READ
            told = error.strerror if isinstance(error, OSError) else error
            typer.echo(f"{source}: {told}", err=True)
    if not as_json:
        console_for_people().print(_table(answers), _told(package.statement), _told(NOTICE))
    return status


def _people(path: Path) -> Iterator[tuple[int, Mapping[str, Given]]]:
    """Return each person of a file with the number of the row, from 1."""
    if path.stat().st_size > _LARGEST_BYTES:
        raise InputError(f"The file is over {_LARGEST_BYTES} bytes; divide it.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("The file is not UTF-8 text; save the table as CSV in UTF-8.") from error
    if text.lstrip()[:1] in ("{", "["):
        yield from _json_people(text)
    else:
        for number, row in enumerate(csv.DictReader(io.StringIO(text)), 1):
            yield number, {name: value for name, value in row.items() if name is not None}


def _json_people(text: str) -> Iterator[tuple[int, Mapping[str, Given]]]:
    try:
        whole: Any = json.loads(text)
    except ValueError:
        whole = [_object(line) for line in text.splitlines() if line.strip()]
    for number, person in enumerate(whole if isinstance(whole, list) else [whole], 1):
        if not isinstance(person, dict):
            raise InputError(f"Row {number} is not a JSON object of inputs by name.")
        yield number, person


def _object(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise InputError("The file is neither CSV nor JSON, one object a line.") from error


def _table(answers: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(
        "Person 对象", "Verdict 结论", "Finding 项目", "Probability 概率", "Most 主要影响"
    )
    for answer in answers:
        if not answer["findings"]:
            table.add_row(answer["input"], answer["verdict"], "", "", "; ".join(answer["reasons"]))
        for finding in answer["findings"]:
            most = sorted(finding["contributions"], key=lambda each: -abs(each["log_odds"]))
            table.add_row(
                answer["input"],
                answer["verdict"],
                f"{finding['name']['en']} {finding['name']['zh']}",
                f"{finding['probability']:.1%} ({finding['decision']})",
                ", ".join(
                    f"{each['name']} {each['log_odds']:+.2f}"
                    for each in most[:_SHOWN_CONTRIBUTIONS]
                ),
            )
    return table


def _told(text: Text) -> str:
    return f"{text.en}\n{text.zh}"
