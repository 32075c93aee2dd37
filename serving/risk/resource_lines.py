"""Scoring people whose data come as FHIR resources: a RiskAssessment, Observation or refusal each.

Each person is assessed as `$assess-risk` does, so that one and many cannot differ.
"""

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from models.errors import InputError
from models.findings import Text
from models.risk.assessment import Assessment, assess, read_person
from models.risk.input_kinds import Kind
from models.risk.inputs import INPUTS
from models.risk.registry import find
from models.risk.score import Score, Status
from serving.answers import write_json
from serving.fhir.assessments import STATUS_SYSTEM, Resource, resource_of
from serving.fhir.bulk import PersonLines, people_of
from serving.fhir.facts import Fact, Person
from serving.fhir.operation import one_person, read_request
from serving.risk.answers import plain_value
from serving.risk.known import Known
from serving.risk.runs import ScoringWork, keep_counts
from serving.risk.summaries import PartCounts, counted_values
from serving.risk.table_files import TableFormat, join_parts, write_part

_PART_PEOPLE = 2_048
_PART_BYTES = 16 * 2**20
"""Of lines in one part, more or less: a person is never divided."""
_UUID_SPACE = uuid.UUID("0d2b3f0c-51b3-5a54-8b0c-6a1a3c1de0aa")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one person."""

    person: Person
    assessment: Assessment | None
    """None where the lines are not one person's resources."""
    unread: Text | None = None
    """Why they are not."""


class ResourceWork(ScoringWork):
    """Resources in, resources or a table out."""

    def plan(self) -> dict[str, Any]:
        """Return what decides the result."""
        return self._planned(
            known=[dict(self._known.inputs), self._known.lists_complete],
            part=[_PART_PEOPLE, _PART_BYTES],
        )

    def parts(self, done: int, folder: Path) -> Iterator[list[PersonLines]]:
        """Yield the people behind the first `done` ones, some at a time."""
        part: list[PersonLines] = []
        size = 0
        for one in people_of(self._source, done, folder):
            part.append(one)
            size += sum(map(len, one.lines))
            if len(part) >= _PART_PEOPLE or size >= _PART_BYTES:
                yield part
                part, size = [], 0
        if part:
            yield part

    def scoring(self, today: date) -> Any:
        """Return what scores a part; other processes find the score by its id."""
        made = self._score.recalibration
        name = f"{self._score.id}@{made.version}" if made else self._score.id
        return partial(_score_into, name, self._known, self._language, self._kind, today)

    def pool(self, workers: int) -> Executor:
        """Return processes: reading JSON and writing it keeps an interpreter to itself."""
        return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))

    def join(self, parts: list[Path], target: Path) -> None:
        """Write the target from all parts."""
        join_parts(parts, target, self._kind)


def _score_into(
    score_id: str,
    known: Known,
    language: str,
    kind: TableFormat,
    today: date,
    part: list[PersonLines],
    file: Path,
    first: bool,
) -> PartCounts:
    score = find(score_id)
    results = [result_of(score, one, known, today) for one in part]
    keep_counts(file, counts := _count(score, results))
    if kind is TableFormat.NDJSON:
        draft = file.with_suffix(".draft")
        draft.write_text("".join(_lines_of(score, results)), encoding="utf-8")
        draft.replace(file)
    else:
        write_part(_table(score, results, language), file, kind, header=first)
    return counts


def result_of(score: Score, one: PersonLines, known: Known, today: date) -> Result:
    """Assess one person, whatever the lines hold."""
    try:
        person = _person(one, known, today)
        assessment = assess(score, read_person(person.inputs, score), today=today, explain=False)
    except InputError as error:
        return Result(Person(None, {}), None, _unread(one.number, str(error)))
    return Result(person, assessment)


def _person(one: PersonLines, known: Known, today: date) -> Person:
    resources: list[Mapping[str, Any]] = [_parsed(line) for line in one.lines]
    if len(resources) == 1 and resources[0].get("resourceType") != "Patient":
        person = read_request(resources[0], lists_complete=known.lists_complete, today=today).person
    else:
        person = one_person(resources, complete=known.lists_complete, today=today)
    given = {name: Fact(name, {"value": value}, None) for name, value in known.inputs.items()}
    return replace(person, facts={**given, **person.facts})


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InputError("It is no JSON object in UTF-8.")
    return found


def _unread(number: int, told: str) -> Text:
    return Text(f"Person {number} cannot be read. {told}", f"第{number}人的数据无法读取。{told}")


def _lines_of(score: Score, results: Iterable[Result]) -> Iterator[str]:
    when = datetime.now(UTC).isoformat(timespec="seconds")
    for result in results:
        yield write_json(_resource(score, result, when)) + "\n"


def _resource(score: Score, result: Result, when: str) -> Resource:
    if result.assessment is None:
        assert result.unread is not None  # noqa: S101 - one of the two is there
        return _unread_outcome(result.unread)
    found = resource_of(result.assessment, result.person, when)
    if result.person.subject is None:
        return found
    if found["resourceType"] == "OperationOutcome":
        return {**found, "extension": [_subject_of(result.person.subject)]}
    name = f"{score.id}|{score.version}|{result.person.subject}"
    return {**found, "id": str(uuid.uuid5(_UUID_SPACE, name))}


def _subject_of(reference: str) -> Resource:
    """An OperationOutcome has no subject of its own (https://hl7.org/fhir/R4/operationoutcome.html)."""
    return {"url": "urn:zhuzhen:subject", "valueReference": {"reference": reference}}


def _unread_outcome(told: Text) -> Resource:
    coding = [{"system": STATUS_SYSTEM, "code": Status.NOT_UNDERSTOOD.word}]
    return {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": "invalid",
                "details": {"coding": coding, "text": f"{told.en} / {told.zh}"},
            }
        ],
    }


def _table(score: Score, results: list[Result], language: str) -> pa.Table:
    """Return the patients with the inputs that were used, and the results as tables have them."""
    columns: dict[str, pa.Array] = {
        "patient": pa.array([result.person.subject for result in results], pa.string())
    }
    used = [{one.name: one for one in r.assessment.inputs} if r.assessment else {} for r in results]
    for need in score.needs:
        entry = INPUTS[need.name]
        values = [plain_value(row[need.name]) if need.name in row else None for row in used]
        columns[need.name] = pa.array(values, _TYPES[entry.kind])
    rows = [_row(score, result, language) for result in results]
    for place, name in enumerate(("value", "unit", "category", "status", "reason")):
        kind = pa.float64() if name == "value" else pa.string()
        columns[name] = pa.array([row[place] for row in rows], kind)
    return pa.table(columns)


_TYPES = {Kind.NUMBER: pa.float64(), Kind.FLAG: pa.bool_(), Kind.CHOICE: pa.string()}


def _row(score: Score, result: Result, language: str) -> tuple[Any, ...]:
    found = result.assessment
    if found is None:
        told = getattr(result.unread, language)
        return (None, score.unit, None, Status.NOT_UNDERSTOOD.word, told)
    reasons = [refusal.told for refusal in found.refusals]
    if found.status is Status.EXTRAPOLATED:
        reasons = list(found.remarks)
    reason = " ".join(getattr(text, language) for text in reasons) or None
    category = found.category.name if found.category else None
    return (found.value, score.unit, category, found.status.word, reason)


def _count(score: Score, results: list[Result]) -> PartCounts:
    found = [result.assessment for result in results]
    statuses = Counter(one.status.word if one else Status.NOT_UNDERSTOOD.word for one in found)
    refusals = Counter(
        f"{one.refusals[0].status.word}:{one.refusals[0].input or 'value'}"
        if one
        else f"{Status.NOT_UNDERSTOOD.word}:resources"
        for one in found
        if one is None or one.refusals
    )
    values = [one.value for one in found if one is not None and one.value is not None]
    return PartCounts(
        people=len(results),
        statuses=dict(statuses),
        categories=dict(Counter(one.category.name for one in found if one and one.category)),
        refusals=dict(refusals),
        values=counted_values(np.array(values)),
    )
