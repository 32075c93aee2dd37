"""Where the pictures of `zhuzhen predict --out` go."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.cli.prediction import predict_files
from tests.package_samples import NAME, VERSION, write_tiny_package


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, beside a store with one model."""
    write_tiny_package(tmp_path / "home" / "models" / NAME / VERSION)
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path / "home"))
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    gradient = np.arange(128 * 128, dtype=np.uint32).reshape(128, 128) % 251
    Image.fromarray(gradient.astype(np.uint8)).save(path, format="PNG")
    return path


def predict(*files: Path, out: Path) -> set[str]:
    """The names of the files that came into `out`, once every input is found as it was."""
    before = {path: path.read_bytes() for path in files}
    there = {path.name for path in out.iterdir()}
    assert predict_files(NAME, files, out=out, as_json=True) == 0
    assert {path: path.read_bytes() for path in files} == before
    return {path.name for path in out.iterdir()} - there


def test_an_input_in_the_same_folder_is_not_overwritten(folder: Path) -> None:
    files = image(folder / "a.png"), image(folder / "a.overlay.png")

    assert predict(*files, out=folder) == {"a-2.overlay.png", "a.overlay.overlay.png"}


def test_an_input_is_known_by_where_its_links_lead(folder: Path) -> None:
    original = image(folder / "originals" / "scan.png")
    (folder / "out").mkdir()
    (folder / "out" / "scan.overlay.png").symlink_to(original)

    assert predict(original, out=folder / "out") == {"scan-2.overlay.png"}


def test_files_of_one_name_get_pictures_of_their_own(folder: Path) -> None:
    files = [image(folder / name) for name in ("x/a.png", "y/a.png", "a-2.png", "z/A.png")]
    (folder / "out").mkdir()

    assert predict(*files, out=folder / "out") == {
        "a.overlay.png",
        "a-2.overlay.png",
        "a-2-2.overlay.png",
        "A-3.overlay.png",
    }
