"""Bad data stop `zhuzhen train` before anything is trained, with the row or file and what to do."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from serving.cli.app import app
from tests.toy_people import write_toy_people
from tests.toy_tiles import write_toy_tiles

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
Spoil = Callable[[Path], None]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ZHUZHEN_DATA", raising=False)
    yield tmp_path / "home"
    # Whatever was wrong was found before there was anything to keep.
    assert not list((tmp_path / "home").glob("models/*/*"))
    assert not list((tmp_path / "home").glob("training/*/*.pt"))


def refused(configuration: Path, *more: str) -> str:
    done = CliRunner().invoke(app, ["train", str(configuration), *more])
    assert done.exit_code == 1, done.output
    assert isinstance(done.exception, SystemExit), done.exception
    assert not done.stdout
    return " ".join(done.stderr.split())


def in_index(before: str, after: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (path,) = folder.glob("toy_*/*.csv")
        text = path.read_text("utf-8")
        assert before in text
        path.write_text(text.replace(before, after, 1), encoding="utf-8")

    return spoil


def missing(folder: Path) -> None:
    (folder / "toy_tiles/tiles/003.png").unlink()


def unreadable(folder: Path) -> None:
    (folder / "toy_tiles/tiles/003.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")


def cut_off(folder: Path) -> None:
    path = folder / "toy_tiles/tiles/003.png"
    path.write_bytes(path.read_bytes()[:700])


def twice_with_two_labels(folder: Path) -> None:
    shutil.copy(folder / "toy_tiles/tiles/002.png", folder / "toy_tiles/tiles/003.png")


def with_parts(folder: Path) -> None:
    """Say in the index which part each tile is of; one slide is in two."""
    path = folder / "toy_tiles" / "index.csv"
    head, *rows = path.read_text("utf-8").splitlines()
    parts = ["training", "validation", "test"]
    told = [f"{row},{parts[at // 4 % 3]}" for at, row in enumerate(rows)]
    told[1] = told[1].replace("training", "test")
    path.write_text("\n".join([f"{head},part", *told]) + "\n", encoding="utf-8")
    description = folder / "toy_tiles.yaml"
    content = yaml.safe_load(description.read_text("utf-8"))
    content["fields"]["part"] = "part"
    description.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")


def one_class(folder: Path) -> None:
    path = folder / "toy_tiles" / "index.csv"
    path.write_text(path.read_text("utf-8").replace(",nests", ",nothing"), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "place", "to_do"),
    [
        (missing, "toy_tiles/index.csv row 5: tiles/003.png", "restore it or drop the row"),
        (unreadable, "tiles/003.png cannot be decoded", "restore the file or drop its row"),
        (cut_off, "tiles/003.png cannot be decoded", "restore the file or drop its row"),
        (
            in_index("slide-0,south,nests", "slide-0,south,clouds"),
            "toy_tiles/index.csv row 2: seen 'clouds'",
            "Correct the row, or add the value to `present`",
        ),
        (in_index("slide-1,", ","), "toy_tiles/index.csv row 6: slide", "must not be empty"),
        (twice_with_two_labels, "tiles/002.png and tiles/003.png", "correct the index"),
        (
            with_parts,
            "000.png is in training and tiles/001.png in test",
            "Give all samples of a group",
        ),
        (in_index("tiles/003.png", "tiles/002.png"), "row 5 are both tiles/002.png", "drop one"),
        (in_index("file,slide", "path,slide"), "no column 'file'", "Correct the description"),
        (one_class, "only one class", "make another split"),
    ],
)
def test_bad_image_data_are_named(tmp_path: Path, spoil: Spoil, place: str, to_do: str) -> None:
    configuration = write_toy_tiles(tmp_path, 24)
    spoil(tmp_path)
    told = refused(configuration)
    assert place in told
    assert to_do in told


@pytest.mark.parametrize(
    ("spoil", "place", "to_do"),
    [
        (in_index("p5,north,", "p5,north,nan\t"), "row 7: age_years", "correct it"),
        (in_index("p3,south,", "p3,south,inf"), "row 5: age_years", "correct it"),
        (in_index(",yes", ",perhaps"), "ill 'perhaps'", "Correct the row"),
        (in_index("\np9,", "\np8,"), "p8", "unique"),
    ],
)
def test_bad_rows_of_people_are_named(tmp_path: Path, spoil: Spoil, place: str, to_do: str) -> None:
    configuration = write_toy_people(tmp_path, 40)
    spoil(tmp_path)
    told = refused(configuration)
    assert place in told
    assert to_do in told


def test_promise_that_is_not_complete_is_found_before_the_training(tmp_path: Path) -> None:
    configuration = write_toy_tiles(tmp_path, 24)
    content = yaml.safe_load(configuration.read_text("utf-8"))
    content["package"]["rules"] = []
    configuration.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    assert "zhuzhen/intended_use/rules" in refused(configuration)


def test_data_that_are_nowhere_are_asked_for(tmp_path: Path) -> None:
    configuration = write_toy_tiles(tmp_path, 4)
    shutil.rmtree(tmp_path / "toy_tiles")
    assert "set ZHUZHEN_DATA to the folder that holds toy_tiles/" in refused(configuration)
    assert "ZHUZHEN_DATA or --data" in refused(configuration, "--data", "/no/such/folder")


def test_data_set_and_configuration_are_not_taken_for_each_other(tmp_path: Path) -> None:
    configuration = write_toy_tiles(tmp_path, 4)
    told = refused(tmp_path / "toy_tiles.yaml")
    assert "describes a data set, not a model" in told
    done = CliRunner().invoke(app, ["data", "check", str(configuration)])
    assert done.exit_code == 1
    assert "configures a model, not a data set" in " ".join(done.stderr.split())
