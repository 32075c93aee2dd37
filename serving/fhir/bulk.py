"""Resources of many people as lines of JSON, given back one person at a time.

Two forms: a file with a Bundle or Parameters a line, each of one person, as `$assess-risk` takes
them (https://hl7.org/fhir/R4/nd-json.html); or the files of a bulk export, a resource a line
(https://hl7.org/fhir/uv/bulkdata/STU2/export.html), where what belongs to a patient lies scattered
over files of any size. Those are sorted by patient in a database on disk first, so that memory
stays bounded.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from models.errors import InputError
from serving.fhir.facts import tells_something

ENDING = ".ndjson"
_OF_ONE_PERSON = ("Bundle", "Parameters")
_READ = ("Patient", "Observation", "Condition", "MedicationStatement", "MedicationRequest")
_LONGEST_LINE = 16 * 2**20
_AT_ONCE = 5_000
"""Lines written to the database in one transaction."""

_TABLES = """
CREATE TABLE patient (id TEXT PRIMARY KEY, place INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE resource (place INTEGER NOT NULL, line BLOB NOT NULL);
CREATE TABLE stray (lines INTEGER NOT NULL);
"""


class ResourceFileError(InputError):
    """A file holds no such lines; the message names the file and the line, not what is in it."""


@dataclass(frozen=True, slots=True)
class PersonLines:
    """What is known about one person, still as lines."""

    number: int
    """From 1, in the order of the source: its line, or that of its Patient among all of these."""
    lines: tuple[bytes, ...]


def files_of(source: Path) -> list[Path]:
    """Return the files that `source`, a file or a folder, holds people in.

    Raises:
        ResourceFileError: there is none.
    """
    files = sorted(source.glob(f"*{ENDING}")) if source.is_dir() else [source]
    if not files or not all(file.exists() for file in files):
        raise ResourceFileError(f"{source} does not exist or holds no {ENDING} file.")
    return files


def people_of(source: Path, after: int, folder: Path) -> Iterator[PersonLines]:
    """Yield all people of `source` in order, behind the first `after` ones.

    Args:
        source: a file, or the folder of a bulk export.
        after: number of people that are not wanted any more.
        folder: where a bulk export is sorted; found there again, it is not sorted anew.

    Raises:
        ResourceFileError: a line is no FHIR resource.
    """
    files = files_of(source)
    if not source.is_dir() and _first_kind(files[0]) in _OF_ONE_PERSON:
        numbered = enumerate(_lines(files[0]), 1)
        yield from (PersonLines(n, (line,)) for n, line in islice(numbered, after, None))
        return
    sorted_by_patient = folder / "patients.sqlite3"
    if not sorted_by_patient.exists():
        _sort(files, sorted_by_patient)
    yield from _sorted_people(sorted_by_patient, after)


def strays_of(folder: Path) -> int:
    """Return how many resources of a bulk export are of no patient among its Patient resources."""
    place = folder / "patients.sqlite3"
    if not place.exists():
        return 0
    with closing(sqlite3.connect(place)) as database:
        return int(database.execute("SELECT coalesce(sum(lines), 0) FROM stray").fetchone()[0])


def _first_kind(file: Path) -> str | None:
    for line in _lines(file):
        kind = _resource(line, file, 1).get("resourceType")
        return kind if isinstance(kind, str) else None
    return None


def _lines(file: Path) -> Iterator[bytes]:
    """Yield the lines that hold something, without their ends and without a byte order mark."""
    with file.open("rb") as content:
        for number, line in enumerate(iter(lambda: content.readline(_LONGEST_LINE + 1), b""), 1):
            if len(line) > _LONGEST_LINE:
                raise ResourceFileError(
                    f"{file.name} line {number} is longer than {_LONGEST_LINE} bytes."
                )
            text = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip()
            if text:
                yield text


def _resource(line: bytes, file: Path, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("resourceType"), str):
        raise ResourceFileError(
            f"{file.name} line {number} is no FHIR resource; expected one JSON object a line "
            "(NDJSON), with its resourceType."
        )
    return found


def _sort(files: list[Path], target: Path) -> None:
    """Bring the resources of each patient together; `target` is whole or absent."""
    draft = target.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    read = [file for file in files if _first_kind(file) in _READ]
    with closing(sqlite3.connect(draft)) as database:
        # It is made anew where it is not whole: nothing needs to be on disk before the end.
        database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _TABLES)
        patients = _add_patients(database, read)
        if not patients:
            raise ResourceFileError(
                "There is no Patient resource; expected those of the export beside the others."
            )
        strays = sum(_add_resources(database, file) for file in read)
        database.execute("INSERT INTO stray VALUES (?)", (strays,))
        database.execute("CREATE INDEX resource_of ON resource (place)")
        database.commit()
    draft.replace(target)


def _add_patients(database: sqlite3.Connection, files: list[Path]) -> int:
    place = 0
    for file in files:
        for number, line in enumerate(_lines(file), 1):
            # Most lines are of others; to look for the word is quicker than to read them.
            if b'"Patient"' not in line:
                continue
            patient = _resource(line, file, number)
            if patient["resourceType"] != "Patient":
                continue
            if not isinstance(patient.get("id"), str):
                raise ResourceFileError(f"{file.name} line {number}: the Patient has no id.")
            try:
                database.execute("INSERT INTO patient VALUES (?, ?)", (patient["id"], place))
            except sqlite3.IntegrityError:
                raise ResourceFileError(
                    f"{file.name} line {number}: there are two Patients of that id."
                ) from None
            database.execute("INSERT INTO resource VALUES (?, ?)", (place, line))
            place += 1
    return place


def _add_resources(database: sqlite3.Connection, file: Path) -> int:
    """Add what a file has beside patients; return how many lines are of nobody."""
    strays = 0
    waiting: list[tuple[bytes, str]] = []
    for number, line in enumerate(_lines(file), 1):
        resource = _resource(line, file, number)
        if resource["resourceType"] == "Patient" or not tells_something(resource):
            continue
        waiting.append((line, _patient_of(resource)))
        if len(waiting) == _AT_ONCE:
            strays += _add(database, waiting)
            waiting.clear()
    return strays + _add(database, waiting)


def _add(database: sqlite3.Connection, lines: list[tuple[bytes, str]]) -> int:
    before = database.total_changes
    database.executemany("INSERT INTO resource SELECT place, ?1 FROM patient WHERE id = ?2", lines)
    return len(lines) - (database.total_changes - before)


def _patient_of(resource: dict[str, Any]) -> str:
    """Return the id of the patient that a resource is of: `Patient/ID`, under any server."""
    subject = resource.get("subject")
    reference = subject.get("reference") if isinstance(subject, dict) else None
    parts = reference.split("/") if isinstance(reference, str) else []
    named = len(parts) >= 2 and "Patient" in parts
    return parts[parts.index("Patient") + 1] if named and parts[-1] != "Patient" else ""


def _sorted_people(place: Path, after: int) -> Iterator[PersonLines]:
    with closing(sqlite3.connect(place)) as database:
        found = database.execute(
            "SELECT place, line FROM resource WHERE place >= ? ORDER BY place, rowid", (after,)
        )
        lines: list[bytes] = []
        current = after
        for of, line in found:
            if of != current:
                yield PersonLines(current + 1, tuple(lines))
                current, lines = of, []
            lines.append(line)
        if lines:
            yield PersonLines(current + 1, tuple(lines))
