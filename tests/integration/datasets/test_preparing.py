"""Public data sets, from the download as it is unpacked to a folder that passes its check."""

import csv
import os
from pathlib import Path

import pytest
from PIL import Image

from datasets.preparing import chest_names, main, patch_names
from datasets.reading import read
from tests.kermany_samples import made_up_radiograph
from tests.toy_tiles import made_up_tile


def picture(path: Path, seed: int, side_px: int = 300) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(made_up_radiograph(seed, seed % 2 == 1, side_px)).save(path)


def test_chest_radiographs_are_reduced_and_divided_by_patient(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = tmp_path / "download" / "chest_xray" / "train"
    names = (
        "NORMAL/IM-0115-0001",
        "NORMAL/NORMAL2-IM-0587-0001-0001",
        "PNEUMONIA/person447_virus_921_1",
        "PNEUMONIA/person447_bacteria_1",
    )
    for seed, name in enumerate(names):
        picture(train / f"{name}.jpeg", seed)
    picture(tmp_path / "download/chest_xray/test/NORMAL/IM-0001-0001.jpeg", 9)
    assert main(["chest_xray_kermany", str(train.parents[1]), "--data", str(tmp_path)]) == 0
    assert "not the one (sha256:" in capsys.readouterr().out
    manifest = read("chest_xray_kermany", tmp_path)
    assert manifest.groups().tolist() == ["N-IM-0115", "N2-IM-0587", "P447", "P447"]
    assert manifest.subtypes().tolist() == ["normal", "normal", "bacteria", "virus"]
    with Image.open(manifest.path_of(manifest.samples[0])) as image:
        assert image.size == (224, 224)
    # A second time nothing is written over.
    assert main(["chest_xray_kermany", str(train.parents[1]), "--data", str(tmp_path)]) == 1
    assert "is there already" in capsys.readouterr().err


def test_breast_patches_say_whose_they_are(tmp_path: Path) -> None:
    for number, label in enumerate((0, 1)):
        path = tmp_path / f"IDC/10253/{label}/10253_idx5_x{number}_y50_class{label}.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(made_up_tile(number, label == 1)).save(path)
    assert main(["breast_histology_idc", str(tmp_path / "IDC"), "--data", str(tmp_path)]) == 0
    manifest = read("breast_histology_idc", tmp_path)
    assert manifest.groups().tolist() == ["10253", "10253"]
    assert manifest.targets()[:, 0].tolist() == [0, 1]


def test_lung_tiles_need_the_list_of_captures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for at, label in enumerate(("lung_aca", "lung_n", "lung_scc")):
        path = tmp_path / f"LC/lung_image_sets/{label}/{label.replace('_', '')}1.jpeg"
        path.parent.mkdir(parents=True)
        Image.fromarray(made_up_tile(at, False)).resize((300, 300)).save(path)
    arguments = ["lung_histology_lc25000", str(tmp_path / "LC"), "--data", str(tmp_path)]
    assert main(arguments) == 1
    assert "by --groups, a CSV file with the columns file and tile_group" in capsys.readouterr().err
    groups = tmp_path / "groups.csv"
    groups.write_text("file,tile_group\nlungaca1.jpeg,a1\nlungn1.jpeg,n1\n", encoding="utf-8")
    assert main([*arguments, "--groups", str(groups)]) == 1
    assert "groups.csv has no group for lungscc1.jpeg" in capsys.readouterr().err
    with groups.open("a", encoding="utf-8") as stream:
        stream.write("lungscc1.jpeg,s1\n")
    assert main([*arguments, "--groups", str(groups)]) == 0
    assert set(read("lung_histology_lc25000", tmp_path).groups().tolist()) == {"a1", "n1", "s1"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("chest_xray_kermany", "has no pictures in train/NORMAL; unpack the download there"),
        ("nhanes1", "has 0 files that end in _X.csv; expected one"),
        ("uci_heart_disease", "is not prepared from a download"),
    ],
)
def test_download_that_is_another_is_told(
    tmp_path: Path, name: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "download").mkdir()
    assert main([name, str(tmp_path / "download"), "--data", str(tmp_path)]) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / name).exists()


def test_picture_that_says_nothing_of_its_patient_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(tmp_path / "download/train/NORMAL/scan.jpeg", 1)
    assert main(["chest_xray_kermany", str(tmp_path / "download"), "--data", str(tmp_path)]) == 1
    assert "scan does not say whose it is by its name" in capsys.readouterr().err


@pytest.mark.data
@pytest.mark.skipif("ZHUZHEN_DATA" not in os.environ, reason="ZHUZHEN_DATA is not set")
def test_names_say_what_the_index_of_the_public_sets_says() -> None:
    data = Path(os.environ["ZHUZHEN_DATA"])
    for name, said in (("chest_xray_kermany", chest_names), ("breast_histology_idc", patch_names)):
        with (data / name / "index.csv").open(encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                told = said(Path(row["path"]).stem)
                assert told == {key: row[key] for key in told}, row["path"]
