"""`zhuzhen predict` and `zhuzhen models`, run as a user runs them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from models import store

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.dcm"))
ZHUZHEN = Path(sys.executable).with_name("zhuzhen")
MODEL = "chest-xray-pneumonia"


def zhuzhen(*arguments: object, cwd: Path = ROOT, **environment: str) -> Any:
    return subprocess.run(
        [ZHUZHEN, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def lines(run: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_children_are_read() -> None:
    run = zhuzhen("predict", MODEL, *EXAMPLES, "--json")
    assert run.returncode == 0, run.stderr
    answers = lines(run)
    assert [answer["input"] for answer in answers] == [str(path) for path in EXAMPLES]
    package = store.load(MODEL)
    for answer in answers:
        assert answer["verdict"] == "accepted", answer["reasons"]
        assert answer["model"] == MODEL
        assert answer["version"] == package.reference_to.version
        assert answer["digest"] == package.reference_to.digest
        (finding,) = answer["findings"]
        assert finding["label"] == "pneumonia"
        assert 0.0 <= finding["probability"] <= 1.0


def test_normal_and_diseased_children_are_told_apart() -> None:
    answers = lines(zhuzhen("predict", MODEL, *EXAMPLES, "--json"))
    probability = {Path(a["input"]).stem: a["findings"][0]["probability"] for a in answers}
    normal = [value for name, value in probability.items() if "normal" in name]
    diseased = [value for name, value in probability.items() if "pneumonia" in name]
    assert len(normal) == len(diseased) == 2
    assert max(normal) < min(diseased)


def test_table_is_for_people() -> None:
    run = zhuzhen("predict", MODEL, EXAMPLES[0], COLUMNS="160")
    assert run.returncode == 0, run.stderr
    for words in ("accepted", "Pneumonia 肺炎", "probability", "not a cleared medical device"):
        assert words in run.stdout


def test_unreadable_contents_are_an_answer(tmp_path: Path) -> None:
    truncated = tmp_path / "truncated.dcm"
    truncated.write_bytes(EXAMPLES[0].read_bytes()[:20_000])
    run = zhuzhen("predict", MODEL, truncated, EXAMPLES[0], "--json")
    assert run.returncode == 0, run.stderr
    assert [answer["verdict"] for answer in lines(run)] == ["unreadable", "accepted"]


def test_a_file_that_cannot_be_opened_is_told_and_fails(tmp_path: Path) -> None:
    run = zhuzhen("predict", MODEL, tmp_path / "absent.dcm", tmp_path, EXAMPLES[0], "--json")
    assert run.returncode == 1
    absent, folder, read = lines(run)
    assert absent["verdict"] == folder["verdict"] == "unreadable"
    assert "could not be opened" in absent["reasons"][0]
    assert absent["findings"] == []
    assert read["verdict"] == "accepted"


def test_an_unknown_model_is_told_without_an_answer() -> None:
    run = zhuzhen("predict", "nothing", EXAMPLES[0], "--json")
    assert run.returncode == 1
    assert run.stdout == ""
    assert MODEL in run.stderr
    assert "Traceback" not in run.stderr


def test_pictures_are_written_one_a_file(tmp_path: Path) -> None:
    same_name = tmp_path / "other" / EXAMPLES[0].name
    same_name.parent.mkdir()
    shutil.copy(EXAMPLES[2], same_name)
    out = tmp_path / "out"
    run = zhuzhen("predict", MODEL, EXAMPLES[0], same_name, "--out", out, "--json")
    assert run.returncode == 0, run.stderr
    stem = EXAMPLES[0].stem
    names = [f"{stem}.overlay.png", f"{stem}-2.overlay.png"]
    assert {path.name for path in out.iterdir()} == {*names}
    first, second = (Image.open(out / name) for name in names)
    assert min(*first.size, *second.size) > 300
    assert first.tobytes() != second.tobytes()


def test_a_folder_that_cannot_be_made_is_told_plainly(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    run = zhuzhen("predict", MODEL, EXAMPLES[0], "--out", file / "folder", "--json")
    assert run.returncode == 1
    assert str(file / "folder") in run.stderr
    assert "Traceback" not in run.stderr


def test_progress_of_many_files_is_shown_at_a_terminal_and_not_in_the_answers() -> None:
    reader, terminal = os.openpty()
    run = subprocess.run(
        [ZHUZHEN, "predict", MODEL, *EXAMPLES, "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        check=True,
    )
    os.close(terminal)
    assert b"Reading" in os.read(reader, 65_536)
    os.close(reader)
    assert len(lines(run)) == len(EXAMPLES)


def test_models_are_listed_shown_and_verified() -> None:
    listed = lines(zhuzhen("models", "list", "--json"))
    package = store.load(MODEL)
    entry = next(e for e in listed if e["digest"] == package.reference_to.digest)
    assert (entry["name"], entry["version"]) == (MODEL, package.reference_to.version)
    (shown,) = lines(zhuzhen("models", "show", MODEL, "--json"))
    assert shown["digest"] == package.reference_to.digest
    assert shown["intended_use"] == {"en": package.statement.en, "zh": package.statement.zh}
    assert 0.5 < shown["measured"]["figures"]["auc"]["value"] <= 1.0
    verified = zhuzhen("models", "verify", MODEL)
    assert verified.returncode == 0
    assert verified.stdout.startswith(f"intact: {MODEL}")


def test_show_tells_people_the_use_and_the_figures() -> None:
    run = zhuzhen("models", "show", MODEL)
    assert run.returncode == 0, run.stderr
    for words in ("Intended use", "computed radiography (CR)", "auc", "95 % interval", "233604007"):
        assert words in run.stdout


@pytest.mark.parametrize("name", ["calibration.json", "models/model.onnx"])
def test_a_changed_package_is_neither_verified_nor_used(name: str, tmp_path: Path) -> None:
    package = store.load(MODEL)
    home = tmp_path / "home"
    # A version that the released folder does not have, so that the changed copy is found.
    copy = home / "models" / MODEL / "99.0.0"
    shutil.copytree(package.root, copy)
    with (copy / name).open("ab") as stream:
        stream.write(b" ")
    changed = f"{MODEL}@99.0.0"
    verified = zhuzhen("models", "verify", changed, ZHUZHEN_HOME=str(home))
    assert verified.returncode == 1
    assert f"NOT INTACT: {changed}" in verified.stdout
    assert name in verified.stdout
    used = zhuzhen("predict", changed, EXAMPLES[0], "--json", ZHUZHEN_HOME=str(home))
    assert used.returncode == 1
    assert used.stdout == ""
    assert name in used.stderr
