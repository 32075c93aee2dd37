"""What is wrong with a source stops `zhuzhen data` with its file and row, and what to do."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from datasets.manifest_file import read_manifest
from datasets.reading import read
from serving.cli.app import app
from tests.integration.datasets.test_incoming import ward, written
from tests.toy_people import write_toy_people
from tests.toy_tiles import write_toy_tiles

Spoil = Callable[[Path], None]
HEADINGS = "number,clinic,age_years,sex,pressure,ill"
CHINESE = "编号,医院,age_years,sex,pressure,ill"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ZHUZHEN_DATA", raising=False)


def refused(description: Path) -> str:
    """What both commands say: the check finds it, the manifest is not written."""
    told = []
    for command in (["check", "--out", "check.html"], ["manifest", "--out", "manifest.parquet"]):
        out = str(description.parent / command[2])
        done = CliRunner().invoke(app, ["data", command[0], str(description), command[1], out])
        assert done.exit_code == 1, done.output
        assert isinstance(done.exception, SystemExit), done.exception
        told.append(" ".join(done.output.split()))
    assert not (description.parent / "manifest.parquet").exists()
    assert told[1] in told[0]
    return told[1]


def lines_of(folder: Path) -> tuple[Path, list[str]]:
    (path,) = folder.glob("toy_*/*.csv")
    return path, path.read_text("utf-8").splitlines()


def with_line(number: int, change: Callable[[str], str]) -> Spoil:
    def spoil(folder: Path) -> None:
        path, lines = lines_of(folder)
        lines[number - 1] = change(lines[number - 1])
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    return spoil


def headings_alone(folder: Path) -> None:
    path, lines = lines_of(folder)
    path.write_text(lines[0] + "\n", encoding="utf-8")


def nothing(folder: Path) -> None:
    lines_of(folder)[0].write_bytes(b"")


def in_gbk(folder: Path) -> None:
    path, lines = lines_of(folder)
    path.write_bytes("\n".join([CHINESE, *lines[1:]]).encode("gbk"))


def row_again(folder: Path) -> None:
    path, lines = lines_of(folder)
    path.write_text("\n".join([*lines, lines[5]]) + "\n", encoding="utf-8")


def after_an_empty_line(folder: Path) -> None:
    path, lines = lines_of(folder)
    lines = [*lines[:3], "", *lines[3:-1], lines[-1].replace("p19", "p19,")]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "place", "to_do"),
    [
        (with_line(5, lambda row: row + ",7"), "row 5 has 7 cells, expected 6", "in quotes"),
        (with_line(21, lambda _: "p19,north"), "row 21 has 2 cells, expected 6", "cut off"),
        (after_an_empty_line, "row 22 has 7 cells", "in quotes"),
        (with_line(1, lambda row: row.replace("clinic", "sex")), "two columns 'sex'", "Rename"),
        (headings_alone, "people.csv has no rows", "export it again"),
        (nothing, "people.csv has no rows", "export it again"),
        (in_gbk, "people.csv is not UTF-8", "or say `encoding: gb18030`"),
        (row_again, "people.csv row 6 and people.csv row 22 are both p4", "drop one"),
        (with_line(4, lambda row: row.replace("M", "X").replace("F", "X")), "row 4: sex", "one of"),
    ],
)
def test_table_that_does_not_fit_is_named(
    tmp_path: Path, spoil: Spoil, place: str, to_do: str
) -> None:
    write_toy_people(tmp_path, 20)
    spoil(tmp_path)
    told = refused(tmp_path / "toy_people.yaml").replace("toy_people/", "")
    assert place in told
    assert to_do in told


def test_table_as_a_chinese_spreadsheet_saves_it_is_read_where_that_is_said(
    tmp_path: Path,
) -> None:
    write_toy_people(tmp_path, 20)
    description = tmp_path / "toy_people.yaml"
    plain = read(str(description), tmp_path)
    in_gbk(tmp_path)
    content = yaml.safe_load(description.read_text("utf-8"))
    content["source"]["encoding"] = "gb18030"
    content["fields"] |= {"id": "编号", "group": "编号", "site": "医院"}
    description.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    assert read(str(description), tmp_path).digest == plain.digest
    content["source"]["encoding"] = "klingon"
    description.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    assert "encoding is 'klingon', which is not known" in refused(description)


def with_parts(part: str) -> Spoil:
    def spoil(folder: Path) -> None:
        path, (head, *rows) = lines_of(folder)
        parts = [part if at == 1 else "training" for at in range(len(rows))]
        told = [f"{row},{each}" for row, each in zip(rows, parts, strict=True)]
        path.write_text("\n".join([f"{head},part", *told]) + "\n", encoding="utf-8")
        description = folder / "toy_tiles.yaml"
        content = yaml.safe_load(description.read_text("utf-8"))
        content["fields"]["part"] = "part"
        description.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")

    return spoil


@pytest.mark.parametrize(
    ("part", "place", "to_do"),
    [
        ("train", "toy_tiles/index.csv row 3: part is 'train'", "what its values mean"),
        ("test", "tiles/000.png is in training and tiles/001.png in test", "one part"),
    ],
)
def test_part_that_does_not_fit_is_named(tmp_path: Path, part: str, place: str, to_do: str) -> None:
    write_toy_tiles(tmp_path, 12)
    with_parts(part)(tmp_path)
    told = refused(tmp_path / "toy_tiles.yaml")
    assert place in told
    assert to_do in told


def test_fact_that_is_a_number_in_some_rows_alone_is_text_in_all(tmp_path: Path) -> None:
    write_toy_tiles(tmp_path, 8)
    path, (head, *rows) = lines_of(tmp_path)
    told = [f"{row},{'auto' if at == 3 else at}" for at, row in enumerate(rows)]
    path.write_text("\n".join([f"{head},exposure", *told]) + "\n", encoding="utf-8")
    description = tmp_path / "toy_tiles.yaml"
    content = yaml.safe_load(description.read_text("utf-8")) | {"facts": {"exposure": "exposure"}}
    description.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    out = tmp_path / "manifest.parquet"
    done = CliRunner().invoke(app, ["data", "manifest", str(description), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert read_manifest(out, tmp_path).fact("exposure") == ["0", "1", "2", "auto", *"4567"]


SLIDES = """
name: toy_tiles
version: 1.0.0
source: {kind: slide_patches, pattern: 'tiles/(?P<slide>[0-9])(?P<number>[0-9]{2})[.]png'}
fields: {path: path, group: slide}
labels: [toy_nests]
present: {column: slide, values: {"0": [toy_nests]}}
sheet: {title: {en: x, zh: x}, origin: x, licence: x, citation: x, population: x, obtain: x}
"""


def slides(folder: Path, description: str = SLIDES) -> Path:
    write_toy_tiles(folder, 6)
    (folder / "toy_tiles.yaml").write_text(description, encoding="utf-8")
    return folder / "toy_tiles.yaml"


def test_patch_of_another_format_is_not_left_out(tmp_path: Path) -> None:
    description = slides(tmp_path)
    (tmp_path / "toy_tiles/tiles/.DS_Store").write_bytes(b"of the file manager")
    (tmp_path / "toy_tiles/tiles/002.png").rename(tmp_path / "toy_tiles/tiles/002.tif")
    told = refused(description)
    assert "toy_tiles/tiles/002.tif is a picture, but of none of the formats" in told
    assert "`suffixes`" in told


def test_folder_without_patches_is_named(tmp_path: Path) -> None:
    description = slides(tmp_path)
    for path in (tmp_path / "toy_tiles").rglob("*.png"):
        path.unlink()
    assert "toy_tiles/ has no file that ends in .png, .jpg, .jpeg" in refused(description)


def test_pattern_that_is_no_regular_expression_is_told(tmp_path: Path) -> None:
    told = refused(slides(tmp_path, SLIDES.replace("(?P<slide>", "(?P<slide")))
    assert "toy_tiles: pattern is not a regular expression" in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("检查号,report\nA0,normal\n".encode("gbk"), "labels.csv is not UTF-8"),
        ("检查号,report\nA0,normal\n".encode(), "labels.csv has no column 'AccessionNumber'"),
        (b"AccessionNumber,report\nA0,normal\n,normal\n", "labels.csv row 3: AccessionNumber is"),
        (b"AccessionNumber,report\nA0,normal\nA0,x\n", "labels.csv row 3: AccessionNumber is"),
        (b"AccessionNumber,report\nA0,normal,\n", "labels.csv row 2 has 3 cells"),
    ],
)
def test_table_of_labels_that_does_not_fit_is_named(
    tmp_path: Path, content: bytes, told: str
) -> None:
    description = Path(written(tmp_path))
    (tmp_path / "labels.csv").write_bytes(content)
    assert told in refused(description)


def test_empty_folder_of_images_is_named(tmp_path: Path) -> None:
    description = Path(written(tmp_path))
    for path in (tmp_path / "hospital").iterdir():
        path.unlink()
    assert "hospital/ has no files" in refused(description)


def test_export_in_another_encoding_or_without_resources_is_named(tmp_path: Path) -> None:
    description = Path(ward(tmp_path))
    path = tmp_path / "ward" / "export.ndjson"
    path.write_bytes('{"resourceType": "Patient", "id": "王"}\n'.encode("gbk"))
    assert "ward/export.ndjson is not UTF-8" in refused(description)
    path.write_text("", encoding="utf-8")
    assert "ward/ has no Patient in any *.ndjson" in refused(description)


def test_disease_that_was_ruled_out_is_not_there(tmp_path: Path) -> None:
    status = {"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status"}
    ruled_out = {
        "resourceType": "Condition",
        "verificationStatus": {"coding": [{**status, "code": "refuted"}]},
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "44054006"}]},
        "subject": {"reference": "Patient/p2"},
    }
    manifest = read(ward(tmp_path, json.loads(json.dumps(ruled_out))), tmp_path)
    assert manifest.targets()[:, 0].tolist() == [1, 0]
