import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets.chest_xray_kermany import COLUMNS, LABELS, NAME, read
from models.errors import DataError
from tests.kermany_samples import write_index, write_kermany

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
    manifest = read(data)
    assert (manifest.source, manifest.labels) == (NAME, LABELS)
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
        (("", "NORMAL", "normal", "N-1"), "path and patient_key must not be empty"),
        (("train/NORMAL/N001-0.jpeg", "NORMAL", "normal"), "patient_key must not be empty"),
    ],
)
def test_row_that_does_not_fit_is_named(data: Path, row: Row, told: str) -> None:
    (data / "outside.jpeg").write_bytes(b"x")
    write_index(data, (*GOOD[:2], row))
    with pytest.raises(DataError, match=told) as refusal:
        read(data)
    # The header is row 1, so the third row of data is what a spreadsheet calls row 4.
    assert f"{NAME}/index.csv row 4" in str(refusal.value)


@pytest.mark.parametrize(
    "columns", [COLUMNS[:3], ("path", "label", "patient_key", "subtype"), (*COLUMNS, "age")]
)
def test_other_columns_are_refused(data: Path, columns: Row) -> None:
    write_index(data, GOOD, columns)
    with pytest.raises(DataError, match=r"index\.csv has the columns .*expected \['path'"):
        read(data)


def no_data_set(data: Path) -> Path:
    return data / "elsewhere"


def no_index(data: Path) -> Path:
    (data / NAME / "index.csv").unlink()
    return data


@pytest.mark.parametrize("spoil", [no_data_set, no_index])
def test_absent_data_say_where_they_are_expected(data: Path, spoil: Callable[[Path], Path]) -> None:
    with pytest.raises(DataError, match="set ZHUZHEN_DATA to the folder that holds"):
        read(spoil(data))


def test_empty_index_is_refused(data: Path) -> None:
    write_index(data, ())
    with pytest.raises(DataError, match="has no samples"):
        read(data)


def test_index_in_another_encoding_is_refused(data: Path) -> None:
    text = ",".join(COLUMNS) + "\n" + ",".join(("train/NORMAL/正常.jpeg", *GOOD[0][1:])) + "\n"
    (data / NAME / "index.csv").write_bytes(text.encode("gb18030"))
    with pytest.raises(DataError, match="UTF-8"):
        read(data)
