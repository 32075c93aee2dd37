from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from datasets.manifest import Feature, Manifest, Sample
from datasets.manifest_file import read_manifest, write_manifest
from models.errors import DataError

IMAGES = Manifest(
    "source",
    ("effusion", "pneumonia"),
    Path("here"),
    (
        Sample("a.png", "P1", ("pneumonia",), "virus", "0" * 64, site="one", age_years=3.5, sex="F",
               facts=(1.5, "X")),
        Sample("b.png", "P2", (), "none", "1" * 64, path="sub/b.png", facts=(None, None)),
    ),
    version="1.2.0",
    facts=("exposure_mas", "manufacturer"),
)  # fmt: skip
TABLE = Manifest(
    "people",
    ("death",),
    Path("here"),
    (
        Sample("1", "1", ("death",), "death", "0" * 64, followup_years=2.0, features=(120.0, "no")),
        Sample("2", "2", (), "none", "1" * 64, followup_years=9.0, features=(None, "yes")),
    ),
    features=(Feature("sbp_mmhg", "mm[Hg]", optional=True), Feature("smoker", "", ("yes", "no"))),
)


@pytest.mark.parametrize("manifest", [IMAGES, TABLE])
def test_manifest_comes_back_as_it_was(manifest: Manifest, tmp_path: Path) -> None:
    write_manifest(manifest, tmp_path / "m.parquet")
    assert read_manifest(tmp_path / "m.parquet", Path("here")) == manifest
    assert [path.name for path in tmp_path.iterdir()] == ["m.parquet"]


def test_columns_can_be_read_by_anything_that_reads_parquet(tmp_path: Path) -> None:
    write_manifest(IMAGES, tmp_path / "m.parquet")
    frame = pq.read_table(tmp_path / "m.parquet").to_pandas()
    assert frame["fact.exposure_mas"].tolist()[0] == 1.5
    assert frame["group"].tolist() == ["P1", "P2"]


def test_changed_rows_are_refused(tmp_path: Path) -> None:
    write_manifest(IMAGES, tmp_path / "m.parquet")
    table = pq.read_table(tmp_path / "m.parquet")
    changed = table.set_column(
        table.column_names.index("group"), "group", [["P1", "P1"]]
    ).replace_schema_metadata(table.schema.metadata)
    pq.write_table(changed, tmp_path / "m.parquet")
    with pytest.raises(DataError, match="its rows were changed"):
        read_manifest(tmp_path / "m.parquet", Path("here"))


def test_other_files_are_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "m.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"m\.parquet is not a manifest"):
        read_manifest(tmp_path / "m.parquet", tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        replace(IMAGES, exclusive=False, facts=("exposure_mas", "device")),
        replace(IMAGES, samples=(replace(IMAGES.samples[0], site="two"), IMAGES.samples[1])),
        replace(IMAGES, samples=(replace(IMAGES.samples[0], age_years=4.0), IMAGES.samples[1])),
        replace(IMAGES, samples=(replace(IMAGES.samples[0], facts=(2.0, "X")), IMAGES.samples[1])),
    ],
)
def test_digest_covers_site_person_and_facts(changed: Manifest) -> None:
    assert changed.digest != IMAGES.digest


def test_classes_exclude_each_other() -> None:
    with pytest.raises(DataError, match=r"b\.png has the classes \[\]; expected exactly one"):
        replace(IMAGES, exclusive=True)


@pytest.mark.parametrize(
    ("change", "told"),
    [({"sex": "female"}, "sex 'female'"), ({"group": ""}, "no id or no group")],
)
def test_sample_cannot_be_wrong(change: dict[str, str], told: str) -> None:
    with pytest.raises(DataError, match=told):
        replace(IMAGES.samples[0], **change)  # type: ignore[arg-type]


def test_samples_have_every_fact() -> None:
    with pytest.raises(DataError, match="has 1 facts and 0 features; expected 2 and 0"):
        replace(IMAGES, samples=(replace(IMAGES.samples[0], facts=(1.0,)),))
