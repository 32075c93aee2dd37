"""`zhuzhen demo` as a newcomer runs it: what it shows, what it writes, and that it cleans up."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from models import store
from models.findings import Verdict
from models.package import METADATA, seal
from serving.finding_words import VERDICT_WORDS

ROOT = Path(__file__).resolve().parents[2]
ZHUZHEN = Path(sys.executable).with_name("zhuzhen")
MODEL = "chest-xray-pneumonia"
CHILDREN = ["child-normal-1", "child-normal-2", "child-pneumonia-1", "child-pneumonia-2"]
REFUSED = ["RG1_J2KR", "RG3_J2KR", "US1_J2KR"]

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Demonstration:
    status: int
    stdout: str
    stderr: str
    out: Path
    group: int
    """Process group of everything that it started."""

    @property
    def answers(self) -> dict[str, dict[str, Any]]:
        summary = json.loads((self.out / "summary.json").read_text(encoding="utf-8"))
        return {Path(answer["input"]).stem: answer for answer in summary}


def start(out: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [ZHUZHEN, "demo", "--out", out],
        env={**os.environ, "COLUMNS": "160", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run_to_end(out: Path, **environment: str) -> Demonstration:
    process = start(out, **environment)
    stdout, stderr = process.communicate(timeout=120)
    return Demonstration(process.returncode, stdout, stderr, out, process.pid)


def is_empty(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Demonstration:
    return run_to_end(tmp_path_factory.mktemp("demo") / "demo-output")


def test_ends_well_and_leaves_no_process(demonstration: Demonstration) -> None:
    assert demonstration.status == 0, demonstration.stderr
    assert is_empty(demonstration.group)


def test_summary_follows_the_contract(demonstration: Demonstration) -> None:
    schema = json.loads(resources.files("serving").joinpath("answer.schema.json").read_text())
    summary = json.loads((demonstration.out / "summary.json").read_text(encoding="utf-8"))
    assert isinstance(summary, list)
    for answer in summary:
        jsonschema.validate(answer, schema)
        assert "overlay_png" not in answer
    digest = store.load(MODEL).reference_to.digest
    assert {(a["model"], a["digest"]) for a in summary} == {(MODEL, digest)}
    assert list(demonstration.answers) == [*CHILDREN, *REFUSED, "truncated"]


@pytest.mark.parametrize("name", CHILDREN)
def test_children_are_read(demonstration: Demonstration, name: str) -> None:
    answer = demonstration.answers[name]
    assert answer["verdict"] == "accepted"
    assert [finding["label"] for finding in answer["findings"]] == ["pneumonia"]
    if "pneumonia" in name:
        assert answer["findings"][0]["decision"] != "absent"
        assert answer["findings"][0]["regions"]
    else:
        assert answer["findings"][0]["decision"] != "present"


def test_adult_is_outside_the_intended_use_by_age(demonstration: Demonstration) -> None:
    answer = demonstration.answers["RG1_J2KR"]
    assert answer["verdict"] == "outside_intended_use"
    (reason,) = [r for r in answer["reason_details"] if r["rule"] == "age_years"]
    assert float(reason["found"]) == pytest.approx(64.5, abs=0.1)
    assert "from the dates of birth and study" in reason["message"]["en"]


@pytest.mark.parametrize(("name", "rule"), [("RG3_J2KR", "body_part"), ("US1_J2KR", "modality")])
def test_leg_and_ultrasound_are_refused(demonstration: Demonstration, name: str, rule: str) -> None:
    answer = demonstration.answers[name]
    assert answer["verdict"] == "outside_intended_use"
    assert rule in [reason["rule"] for reason in answer["reason_details"]]
    assert answer["findings"] == []


def test_truncated_file_is_unreadable(demonstration: Demonstration) -> None:
    answer = demonstration.answers["truncated"]
    assert answer["verdict"] == "unreadable"
    assert "truncated" in answer["reasons"][0]


def test_pictures_are_images_of_the_inputs(demonstration: Demonstration) -> None:
    folder = demonstration.out / "overlays"
    names = [*CHILDREN, *REFUSED, "truncated"]
    assert sorted(path.stem for path in folder.iterdir()) == sorted(names)
    for name in (*CHILDREN, *REFUSED):
        with Image.open(folder / f"{name}.png") as picture:
            assert picture.format == "PNG"
            assert np.asarray(picture.convert("L")).std() > 20
    for name in CHILDREN:
        with Image.open(folder / f"{name}.png") as picture:
            # The heatmap is all that has colour above the words.
            upper = np.asarray(picture)[: picture.height // 3].astype(int)
            has_heat = (np.ptp(upper, axis=2) > 40).mean() > 0.05
        (finding,) = demonstration.answers[name]["findings"]
        assert has_heat == bool(finding["regions"])


def test_contact_sheet_shows_all_pictures(demonstration: Demonstration) -> None:
    with Image.open(demonstration.out / "contact-sheet.png") as sheet:
        assert sheet.format == "PNG"
        pixels = np.asarray(sheet.convert("RGB"))
    for path in (demonstration.out / "overlays").iterdir():
        with Image.open(path) as picture:
            row = np.asarray(picture.convert("RGB"))[picture.height // 2]
        starts = range(20, pixels.shape[1] - len(row) + 1, len(row) + 20)
        assert any((pixels[:, x : x + len(row)] == row).all(axis=(1, 2)).any() for x in starts)


def test_table_tells_people_what_came_of_each_file(demonstration: Demonstration) -> None:
    for name, answer in demonstration.answers.items():
        assert name in demonstration.stdout
        # Whole words may stand on two lines of a narrow column.
        assert VERDICT_WORDS[Verdict(answer["verdict"])].zh[:4] in demonstration.stdout
    for words in ("published as normal", "Pneumonia 肺炎", "counts as present", "64.5"):
        assert words in demonstration.stdout
    assert "not a cleared medical device" in demonstration.stdout
    assert "未经医疗器械注册审批" in demonstration.stdout


def test_an_answer_that_is_not_as_expected_fails_the_demonstration(tmp_path: Path) -> None:
    # A package of a newer version whose rules let adults in and children out.
    folder = tmp_path / "home" / "models" / MODEL / "99.0.0"
    shutil.copytree(store.load(MODEL).root, folder)
    metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    metadata["version"] = "99.0.0"
    (rule,) = [r for r in metadata["zhuzhen"]["intended_use"]["rules"] if r["fact"] == "age_years"]
    rule.update(minimum=18, below=120)
    (folder / METADATA).write_text(json.dumps(metadata), encoding="utf-8")
    seal(folder)
    told = run_to_end(tmp_path / "out", ZHUZHEN_HOME=str(tmp_path / "home"))
    assert told.status == 1
    assert "NOT AS EXPECTED: RG1_J2KR.dcm (chest of an adult)" in told.stderr
    assert "expected outside_intended_use" in told.stderr
    assert is_empty(told.group)


def test_a_package_that_must_not_be_loaded_is_told_plainly(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "models" / MODEL / "99.0.0"
    shutil.copytree(store.load(MODEL).root, folder)
    (folder / "calibration.json").write_text("{}", encoding="utf-8")
    told = run_to_end(tmp_path / "out", ZHUZHEN_HOME=str(tmp_path / "home"))
    assert told.status == 1
    assert "calibration.json" in told.stderr
    assert "Traceback" not in told.stderr
    assert not (tmp_path / "out" / "summary.json").exists()
    assert is_empty(told.group)


@pytest.mark.parametrize(
    ("number", "whole_group"),
    [
        pytest.param(signal.SIGINT, True, id="interrupted at the terminal"),
        pytest.param(signal.SIGTERM, False, id="terminated"),
        pytest.param(signal.SIGKILL, False, id="killed"),
    ],
)
def test_no_process_is_left_when_it_is_stopped(
    tmp_path: Path, number: signal.Signals, whole_group: bool
) -> None:
    process = start(tmp_path / "out")
    assert process.stderr is not None
    # The service answers from here on.
    assert any("Sending" in line for line in process.stderr)
    if whole_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode != 0
    deadline = time.monotonic() + 20
    while not is_empty(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert is_empty(process.pid)
