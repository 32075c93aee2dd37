"""Populations as FHIR resources: Bundles a line, and the files of a bulk export."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fhirkit
import pyarrow.parquet
import pytest

from models.errors import InputError
from models.risk.assessment import assess, read_person
from models.risk.registry import find
from serving.fhir.operation import read_request
from serving.risk import resource_lines
from serving.risk.known import Known, read_known
from serving.risk.population import score_file
from tests.risk_samples import BLOOD_PRESSURE, PATIENT, RESOURCES, SMOKING, bundle, observation

CHINA_PAR, WHO, KDIGO = find("china-par"), find("who-cvd-lab"), find("kdigo")
VILLAGE = Known(
    {"region_of_china": "north", "residence": "rural", "family_history_ascvd": "0"},
    lists_complete=True,
)


def of(patient: str, resource: dict[str, Any], number: int = 0) -> dict[str, Any]:
    """The resource as one of another patient's."""
    if resource["resourceType"] == "Patient":
        return {**resource, "id": patient}
    own = {**resource, "id": f"{resource.get('id', 'r')}-{patient}-{number}"}
    return {**own, "subject": {"reference": f"Patient/{patient}"}}


def person(number: int, draw: random.Random) -> list[dict[str, Any]]:
    """The resources of somebody who may lack something."""
    name = f"p{number}"
    resources: list[dict[str, Any]] = [
        {**PATIENT, "birthDate": f"{draw.randint(1935, 2000)}-05-01"},
        SMOKING,
        BLOOD_PRESSURE,
        observation(1, "14647-2", round(draw.uniform(3, 8), 2), "mmol/L"),
        observation(2, "14646-4", round(draw.uniform(0.8, 2.2), 2), "mmol/L"),
    ]
    if draw.random() < 0.8:
        resources.append(observation(3, "8280-0", draw.randint(65, 115), "cm"))
    if draw.random() < 0.2:
        code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "E11.9"}]}
        resources.append({"resourceType": "Condition", "code": code})
    return [of(name, resource, place) for place, resource in enumerate(resources)]


def people(count: int) -> list[list[dict[str, Any]]]:
    draw = random.Random(4)
    return [person(number, draw) for number in range(count)]


def write_lines(path: Path, resources: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in resources), encoding="utf-8")
    return path


def write_export(folder: Path, everybody: list[list[dict[str, Any]]]) -> Path:
    """A bulk export: a file for each type, in no order of patients."""
    folder.mkdir()
    resources = [resource for one in everybody for resource in one]
    patients = [one for one in resources if one["resourceType"] == "Patient"]
    others = [one for one in resources if one["resourceType"] != "Patient"]
    random.Random(5).shuffle(others)
    write_lines(folder / "Patient.000.ndjson", patients)
    for kind in {one["resourceType"] for one in others}:
        own = [one for one in others if one["resourceType"] == kind]
        write_lines(folder / f"{kind}.000.ndjson", own[::2])
        write_lines(folder / f"{kind}.001.ndjson", own[1::2])
    write_lines(folder / "Encounter.000.ndjson", [{"resourceType": "Encounter", "id": "e"}])
    return folder


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def errors_of(resource: dict[str, Any]) -> list[str]:
    return [str(issue) for issue in fhirkit.validate(resource) if str(issue).startswith("error")]


def subject_of(resource: dict[str, Any]) -> str:
    if resource["resourceType"] == "OperationOutcome":
        return str(resource["extension"][0]["valueReference"]["reference"])
    return str(resource["subject"]["reference"])


def without_time(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name != "occurrenceDateTime"}


def test_each_is_what_a_single_person_gets_and_keeps_its_place(tmp_path: Path) -> None:
    everybody = people(60)
    source = write_lines(tmp_path / "in.ndjson", [bundle(one) for one in everybody])

    summary = score_file(CHINA_PAR, source, tmp_path / "out.ndjson", known=VILLAGE)

    out = read_lines(tmp_path / "out.ndjson")
    assert [subject_of(one) for one in out] == [f"Patient/p{n}" for n in range(60)]
    for found, sent in zip(out, everybody, strict=True):
        assert errors_of(found) == []
        facts = read_request(bundle(sent), lists_complete=True).person.inputs
        alone = assess(CHINA_PAR, read_person({**VILLAGE.inputs, **facts}, CHINA_PAR))
        if alone.value is None:
            assert found["resourceType"] == "OperationOutcome"
            assert found["issue"][0]["details"]["coding"][0]["code"] == alone.status.word
        else:
            told = found["prediction"][0]["probabilityDecimal"]
            assert told == pytest.approx(alone.value, abs=0.005)
            assert {"reference": subject_of(found)} in found["basis"]
    assert summary.people == 60
    assert 0 < summary.scored < 60
    assert summary.refusals["missing:waist_cm"] > 0
    assert sum(summary.statuses.values()) == 60


def test_the_files_of_a_bulk_export_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody = people(50)
    lines = write_lines(tmp_path / "in.ndjson", [bundle(one) for one in everybody])
    export = write_export(tmp_path / "export", everybody)
    stray = of("nobody", observation(9, "8480-6", 120, "mm[Hg]"))
    write_lines(export / "Observation.stray.ndjson", [stray])
    mixed = write_lines(tmp_path / "mixed.ndjson", [one for some in everybody for one in some])
    monkeypatch.setattr(resource_lines, "_PART_PEOPLE", 7)

    one = score_file(CHINA_PAR, lines, tmp_path / "a.ndjson", known=VILLAGE, workers=1)
    other = score_file(CHINA_PAR, export, tmp_path / "b.ndjson", known=VILLAGE, workers=2)
    score_file(CHINA_PAR, mixed, tmp_path / "c.ndjson", known=VILLAGE, workers=1)

    expected = [without_time(found) for found in read_lines(tmp_path / "a.ndjson")]
    for found in ("b.ndjson", "c.ndjson"):
        for got, wanted in zip(read_lines(tmp_path / found), expected, strict=True):
            for resource in (got, wanted):
                resource.get("basis", []).sort(key=lambda basis: basis["reference"])
                resource.pop("occurrenceDateTime", None)
            assert got == wanted
    assert other.strays == 1
    assert one.statuses == other.statuses
    assert not list(tmp_path.glob(".*.parts"))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_resources_may_be_answered_as_a_table(tmp_path: Path, ending: str) -> None:
    source = write_lines(tmp_path / "in.ndjson", [bundle(one) for one in people(9)])

    score_file(CHINA_PAR, source, tmp_path / f"out.{ending}", known=VILLAGE, language="zh")

    if ending == "parquet":
        rows = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist()
        assert [row["patient"] for row in rows] == [f"Patient/p{n}" for n in range(9)]
        for row in rows:
            assert row["sbp_mmhg"] == 145
            assert row["residence"] == "rural"
            assert (row["value"] is None) == (row["status"] not in ("ok", "extrapolated"))
            assert "腰围" in row["reason"] if row["waist_cm"] is None else True
    else:
        text = (tmp_path / "out.csv").read_text("utf-8")
        assert text.count("\n") == 10
        assert text.startswith('"patient","')


def test_points_are_observations(tmp_path: Path) -> None:
    resources = [*RESOURCES, observation(8, "32294-1", 12.0, "mg/mmol")]
    source = write_lines(tmp_path / "in.ndjson", [bundle(resources)])

    score_file(KDIGO, source, tmp_path / "out.ndjson")

    (found,) = read_lines(tmp_path / "out.ndjson")
    assert found["resourceType"] == "Observation"
    assert errors_of(found) == []


def test_a_line_that_is_nobody_says_so_in_its_place(tmp_path: Path) -> None:
    good = json.dumps(bundle(people(1)[0]))
    two = json.dumps(bundle([of("a", PATIENT), of("b", PATIENT)]))
    lines = [good, "{broken", two, '{"resourceType": "Patient"}', "[1]", "", good]
    source = tmp_path / "in.ndjson"
    source.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")

    summary = score_file(WHO, source, tmp_path / "out.ndjson", known=VILLAGE)

    kinds = [one["resourceType"] for one in read_lines(tmp_path / "out.ndjson")]
    assert kinds == ["RiskAssessment", *["OperationOutcome"] * 4, "RiskAssessment"]
    assert all(errors_of(one) == [] for one in read_lines(tmp_path / "out.ndjson"))
    assert summary.statuses["not_understood"] + summary.statuses.get("missing", 0) == 4


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("in.ndjson", "", "no Patient resource"),
        ("in.ndjson", "nonsense\n", "line 1 is no FHIR resource"),
        ("in.ndjson", '{"resourceType": "Patient", "id": "a"}\n{"a": 1}\n', "line 2 is no FHIR"),
        ("in.ndjson", '{"resourceType": "Patient"}\n', "line 1: the Patient has no id"),
        ("in.ndjson", '{"resourceType": "Patient", "id": "a"}\n' * 2, "line 2: there are two"),
        ("in.csv", "age_years\n60\n", "no FHIR resources that an answer could refer to"),
    ],
)
def test_files_that_cannot_be_used_are_told(
    tmp_path: Path, name: str, content: str, told: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")

    with pytest.raises(InputError, match=told):
        score_file(WHO, tmp_path / name, tmp_path / "out.ndjson")
    with pytest.raises(InputError, match="does not exist"):
        score_file(WHO, tmp_path / "none.ndjson", tmp_path / "out.ndjson")


@pytest.mark.parametrize("statement", ["north", "region_of_china=", "waist=3", "sbp_mmhg=high"])
def test_what_is_no_statement_is_told(statement: str) -> None:
    with pytest.raises(InputError):
        read_known([statement])


def test_a_killed_run_goes_on_behind_its_parts(tmp_path: Path) -> None:
    everybody = people(300)
    source = write_export(tmp_path / "export", everybody)
    program = (
        "from pathlib import Path; import sys\n"
        "from models.risk.registry import find\n"
        "from serving.risk import resource_lines\n"
        "from serving.risk.known import read_known\n"
        "from serving.risk.population import score_file\n"
        "if __name__ == '__main__':\n"
        "    resource_lines._PART_PEOPLE = 10\n"
        "    known = read_known(['region_of_china=north', 'residence=rural',\n"
        "        'family_history_ascvd=0'], lists_complete=True)\n"
        "    score_file(find('china-par'), Path(sys.argv[1]), Path(sys.argv[2]), known=known)\n"
    )
    (tmp_path / "run.py").write_text(program, encoding="utf-8")
    command = [sys.executable, str(tmp_path / "run.py"), str(source), str(tmp_path / "out.ndjson")]
    parts = tmp_path / ".out.ndjson.parts"
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 120
        while len(list(parts.glob("*.ndjson"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(run.pid, signal.SIGKILL)
    kept = sorted(parts.glob("*.ndjson"))
    assert kept
    assert not (tmp_path / "out.ndjson").exists()
    plan = json.loads((parts / "plan.json").read_text("utf-8"))
    assert plan["began"] == datetime.now(UTC).date().isoformat()

    # What was finished is taken as it is: a mark that somebody makes in it is there in the end.
    kept[0].write_text(kept[0].read_text("utf-8").replace('"final"', '"amended"'), "utf-8")
    marked = kept[0].read_text("utf-8").count('"amended"')

    subprocess.run(command, check=True)

    out = read_lines(tmp_path / "out.ndjson")
    assert [subject_of(one) for one in out] == [f"Patient/p{n}" for n in range(300)]
    assert sum(one.get("status") == "amended" for one in out) == marked > 0
