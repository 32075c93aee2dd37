"""A picture that is cut off: found at the first step that meets it, by the name of its file."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from serving.cli.app import app
from tests.integration.datasets.test_incoming import written
from tests.toy_tiles import write_toy_tiles

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
Made = tuple[str, Path, str]
"""The description, the file, and how it is called."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ZHUZHEN_DATA", raising=False)
    return tmp_path / "home"


def png(folder: Path) -> Made:
    write_toy_tiles(folder, 24)
    return str(folder / "toy_tiles.yaml"), folder / "toy_tiles/tiles/003.png", "tiles/003.png"


def jpeg(folder: Path) -> Made:
    description, tile, _ = png(folder)
    Image.open(tile).save(tile.with_suffix(".jpg"), quality=90)
    tile.unlink()
    index = folder / "toy_tiles" / "index.csv"
    index.write_text(index.read_text("utf-8").replace("003.png", "003.jpg"), encoding="utf-8")
    return description, tile.with_suffix(".jpg"), "tiles/003.jpg"


def dicom(folder: Path) -> Made:
    return written(folder), folder / "hospital/1.dcm", "hospital/1.dcm"


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize("kept", [0.5, 0.97], ids=["half", "nearly_all"])
@pytest.mark.parametrize("make", [png, jpeg, dicom], ids=["png", "jpeg", "dicom"])
def test_cut_off_picture_stops_manifest_and_check(
    tmp_path: Path, make: Callable[[Path], Made], kept: float
) -> None:
    description, picture, name = make(tmp_path)
    out = tmp_path / "m.parquet"
    whole = picture.read_bytes()
    picture.write_bytes(whole[: int(len(whole) * kept)])
    status, told = run("data", "manifest", description, "--data", tmp_path, "--out", out)
    assert status == 1
    assert f"{name} cannot be decoded as an image; restore the file or drop its row" in told
    assert not out.exists()
    assert not out.with_suffix(".md").exists()
    page = tmp_path / "check.html"
    status, told = run("data", "check", description, "--data", tmp_path, "--out", page)
    assert status == 1
    assert name in told
    picture.write_bytes(whole)
    assert run("data", "manifest", description, "--data", tmp_path, "--out", out)[0] == 0
    assert out.exists()


def test_training_stops_at_the_same_picture_before_it_learns(tmp_path: Path, home: Path) -> None:
    configuration = write_toy_tiles(tmp_path, 24)
    picture = tmp_path / "toy_tiles/tiles/003.png"
    picture.write_bytes(picture.read_bytes()[:700])
    status, told = run("train", configuration)
    assert status == 1
    assert "tiles/003.png cannot be decoded as an image" in told
    assert not (home / "training").exists()


def test_many_are_told_together(tmp_path: Path) -> None:
    write_toy_tiles(tmp_path, 24)
    for number in range(12):
        (tmp_path / f"toy_tiles/tiles/{number:03}.png").write_bytes(b"no picture %d" % number)
    status, told = run("data", "manifest", tmp_path / "toy_tiles.yaml", "--out", tmp_path / "m")
    assert status == 1
    assert "tiles/000.png, tiles/001.png, " in told
    assert "tiles/007.png and 4 more cannot be decoded as an image" in told
