"""`zhuzhen data check` on a small data set into which everything bad was planted."""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasets.checks import Check, Severity
from datasets.checks.page import write_page
from datasets.checks.run import check
from datasets.description import load_description
from datasets.reading import read
from models.errors import DataError
from tests.kermany_samples import made_up_radiograph
from tests.toy_people import write_toy_people
from tests.toy_tiles import write_toy_tiles

DESCRIPTION = """
name: clinic
version: 1.0.0
source: {kind: folder_csv, index: index.csv}
fields: {path: path, group: patient, part: part, age_years: age}
labels: [pneumonia]
present: {column: label, values: {normal: [], pneumonia: [pneumonia]}}
sheet:
  title: {en: A clinic, zh: 诊所}
  origin: made up
  licence: CC0-1.0
  citation: none
  population: nobody
  obtain: this test writes it
"""
COLUMNS = ("path", "label", "patient", "part", "age")
IMAGES = 48


def write_rows(folder: Path, rows: list[list[str]]) -> None:
    with (folder / "clinic" / "index.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])


def rows_of(folder: Path) -> list[list[str]]:
    with (folder / "clinic" / "index.csv").open(encoding="utf-8") as stream:
        return list(csv.reader(stream))[1:]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    (folder / "clinic").mkdir()
    (folder / "clinic.yaml").write_text(DESCRIPTION, encoding="utf-8")
    rows = []
    for number in range(IMAGES):
        # Opacities come from the classes alone, tone and sharpness from the number.
        image = made_up_radiograph(number, opacity=False, side_px=96)
        Image.fromarray(image).save(folder / "clinic" / f"{number}.png")
        label = ("normal", "pneumonia")[number % 2]
        part = ("training", "test")[number % 4 // 2]
        rows.append([f"{number}.png", label, f"P{number // 4}-{part}", part, str(number % 7 + 1)])
    write_rows(folder, rows)
    return folder


@pytest.fixture
def clinic(clean: Path, tmp_path: Path) -> Path:
    shutil.copytree(clean, tmp_path, dirs_exist_ok=True)
    return tmp_path


def checked(folder: Path) -> Check:
    return check(str(folder / "clinic.yaml"), folder)


def kinds(found: Check) -> dict[str, Severity]:
    return {problem.kind: problem.severity for problem in found.problems}


def test_clean_data_pass_without_a_word(clean: Path) -> None:
    found = checked(clean)
    assert found.passed
    assert kinds(found) == {}
    assert found.digest == read(str(clean / "clinic.yaml"), clean).digest


def exact_copy_under_another_label(folder: Path) -> None:
    shutil.copy(folder / "clinic" / "0.png", folder / "clinic" / "1.png")


def near_copy_in_the_other_part(folder: Path) -> None:
    image = Image.open(folder / "clinic" / "0.png")
    brighter = np.clip(np.asarray(image).astype(int) + 9, 0, 255).astype(np.uint8)
    Image.fromarray(brighter).save(folder / "clinic" / "2.png")


def unreadable_file(folder: Path) -> None:
    path = folder / "clinic" / "5.png"
    path.write_bytes(path.read_bytes()[:200])


def missing_file(folder: Path) -> None:
    (folder / "clinic" / "7.png").unlink()


def label_outside_the_list(folder: Path) -> None:
    rows = rows_of(folder)
    rows[3][1] = "effusion"
    write_rows(folder, rows)


def group_in_two_parts(folder: Path) -> None:
    rows = rows_of(folder)
    rows[0][2] = rows[2][2]
    write_rows(folder, rows)


def no_group(folder: Path) -> None:
    rows = rows_of(folder)
    rows[4][2] = ""
    write_rows(folder, rows)


def group_for_each_image(folder: Path) -> None:
    write_rows(folder, [[*row[:2], f"P{n}", *row[3:]] for n, row in enumerate(rows_of(folder))])


def blank_picture(folder: Path) -> None:
    Image.fromarray(np.full((96, 96), 7, np.uint8)).save(folder / "clinic" / "9.png")


def class_was_blurred(folder: Path) -> None:
    for number in range(1, IMAGES, 2):
        path = folder / "clinic" / f"{number}.png"
        Image.open(path).resize((24, 24)).resize((96, 96)).save(path)


def picture_that_no_row_names(folder: Path) -> None:
    write_rows(folder, rows_of(folder)[1:])


def blank_pictures_with_a_group_each(folder: Path) -> None:
    group_for_each_image(folder)
    blank_picture(folder)


BAD: list[tuple[Callable[[Path], None], str, Severity, str]] = [
    (exact_copy_under_another_label, "label_conflicts", Severity.ERROR, "0.png = 1.png"),
    (near_copy_in_the_other_part, "split_leaks", Severity.ERROR, "0.png = 2.png"),
    (unreadable_file, "unreadable", Severity.ERROR, "5.png"),
    (missing_file, "rows", Severity.ERROR, "clinic/index.csv row 9: 7.png is not a file"),
    (label_outside_the_list, "rows", Severity.ERROR, "row 5: label 'effusion' is not in"),
    (group_in_two_parts, "divided_groups", Severity.ERROR, "P0-test"),
    (no_group, "rows", Severity.ERROR, "row 6: patient must not be empty"),
    (group_for_each_image, "missing_groups", Severity.WARNING, ""),
    (blank_picture, "blank", Severity.WARNING, "9.png"),
    (blank_pictures_with_a_group_each, "blank", Severity.WARNING, "9.png"),
    (picture_that_no_row_names, "unlisted", Severity.WARNING, "0.png"),
    (
        class_was_blurred,
        "shortcut_suspects",
        Severity.WARNING,
        "细节（锐化、噪声）: AUC",
    ),
]


@pytest.mark.parametrize(
    ("spoil", "kind", "severity", "named"), BAD, ids=lambda each: getattr(each, "__name__", each)
)
def test_each_bad_thing_is_found_and_named(
    clinic: Path, spoil: Callable[[Path], None], kind: str, severity: Severity, named: str
) -> None:
    spoil(clinic)
    found = checked(clinic)
    assert kinds(found)[kind] is severity
    problem = next(problem for problem in found.problems if problem.kind == kind)
    assert not named or any(named in example for example in problem.examples)
    assert found.passed is (severity is not Severity.ERROR)


@pytest.mark.parametrize("spoil", [missing_file, label_outside_the_list, no_group])
def test_reading_for_training_stops_at_the_row(clinic: Path, spoil: Callable[[Path], None]) -> None:
    spoil(clinic)
    with pytest.raises(DataError, match=r"clinic/index\.csv row \d+"):
        read(str(clinic / "clinic.yaml"), clinic)


def run(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", "import typer; from datasets.command import check; typer.run(check)",
         str(folder / "clinic.yaml"), "--data", str(folder), "--json", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout)


def test_door_writes_the_report_and_gives_the_status(clinic: Path) -> None:
    unreadable_file(clinic)
    near_copy_in_the_other_part(clinic)
    page = clinic / "report.html"
    status, told = run(clinic, "--out", str(page))
    assert (status, told["passed"]) == (1, False)
    assert {problem["kind"] for problem in told["problems"]} >= {"unreadable", "split_leaks"}
    text = page.read_text(encoding="utf-8")
    assert text.count('src="data:image/') > 4
    assert "暂不可用于训练" in text
    assert "5.png" in text
    # No machine's name where a person reads, and every name in both languages.
    assert "Unreadable files 无法读取的文件</b> (error 错误, 1)" in text
    assert "grey level" in text
    assert "灰度" in text
    assert "split_leaks" not in text
    assert "row_gradient" not in text
    assert "not known 未知" in text


def test_page_says_how_much_it_leaves_out(clinic: Path) -> None:
    class_was_blurred(clinic)
    for number in range(0, IMAGES, 2):
        (clinic / "clinic" / f"{number}.png").unlink()
    found = checked(clinic)
    write_page(found, load_description(str(clinic / "clinic.yaml")), clinic / "page.html")
    assert "and 16 more 另有 16 项" in (clinic / "page.html").read_text("utf-8")


def test_page_of_a_table_tells_what_its_inputs_are(tmp_path: Path) -> None:
    write_toy_people(tmp_path, 170)
    name = str(tmp_path / "toy_people.yaml")
    found = check(name, tmp_path)
    write_page(found, load_description(name), tmp_path / "page.html")
    page = " ".join((tmp_path / "page.html").read_text(encoding="utf-8").split())
    # Every seventeenth pressure is missing.
    assert '<td>sbp_mmhg</td><td>mm[Hg]</td><td class="n">5.9%</td>' in page
    assert '<td>sex</td><td></td><td class="n">0.0%</td>' in page


def test_what_gives_the_class_away_by_itself_is_told_by_name(tmp_path: Path) -> None:
    write_toy_tiles(tmp_path, 32)
    found = check(str(tmp_path / "toy_tiles.yaml"), tmp_path)
    (suspect,) = [each for each in found.problems if each.kind == "shortcut_suspects"]
    # Of so few tiles a model of all facts together learns nothing.
    assert "(sharpness from " in suspect.told.en
    assert " alone: AUC 1.00)" in suspect.told.en
    assert "AUC 1.00）" in suspect.told.zh
