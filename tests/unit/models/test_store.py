import json
from pathlib import Path

import pytest

from models import store
from models.errors import PackageInvalidError, PackageNotFoundError, PackageTamperedError
from models.package import CARD, METADATA, seal
from tests.package_samples import NAME, VERSION, write_tiny_package


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of its own, with an empty folder of released packages."""
    (tmp_path / "released").mkdir()
    monkeypatch.setattr(store, "RELEASED", tmp_path / "released")
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def put(home: Path, *models: str) -> None:
    for model in models:
        (home / "models" / model).mkdir(parents=True)


def test_home_is_the_setting_or_a_folder_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHUZHEN_HOME", "/somewhere/else")
    assert store.home() == Path("/somewhere/else")
    monkeypatch.delenv("ZHUZHEN_HOME")
    assert store.home() == Path("zhuzhen-data")


def test_empty_store_says_so(home: Path) -> None:
    assert store.versions() == {}
    with pytest.raises(PackageNotFoundError, match="no model 'chest'; known models: none"):
        store.find("chest")


@pytest.mark.parametrize(
    ("versions", "newest"),
    [
        (("1.9.0", "1.10.0"), "1.10.0"),
        (("2.0.0", "10.0.0"), "10.0.0"),
        (("1.0.9", "1.0.10", "1.0.2"), "1.0.10"),
        (("1.0.0",), "1.0.0"),
    ],
)
def test_newest_version_is_by_number(home: Path, versions: tuple[str, ...], newest: str) -> None:
    put(home, *(f"chest/{version}" for version in versions))
    assert store.find("chest") == home / "models/chest" / newest


def test_named_version_is_found(home: Path) -> None:
    put(home, "chest/1.0.0", "chest/1.1.0")
    assert store.find("chest@1.0.0") == home / "models/chest/1.0.0"


def test_unknown_model_and_version_name_what_is_known(home: Path) -> None:
    put(home, "chest/1.10.0", "chest/1.9.0", "ankle/1.0.0")
    with pytest.raises(PackageNotFoundError, match="'hand'; known models: ankle, chest"):
        store.find("hand")
    with pytest.raises(PackageNotFoundError, match=r"'2.0.0'; known versions: 1\.9\.0, 1\.10\.0"):
        store.find("chest@2.0.0")


@pytest.mark.parametrize("model", ["..", "../released", "chest/1.0.0", "", "@1.0.0", "chest@../.."])
def test_names_cannot_leave_the_store(home: Path, model: str) -> None:
    put(home, "chest/1.0.0")
    with pytest.raises(PackageNotFoundError):
        store.find(model)


@pytest.mark.parametrize(
    "folder",
    [
        "Chest/1.0.0",
        "chest_x/1.0.0",
        "-chest/1.0.0",
        "chest/1.0",
        "chest/v1.0.0",
        "chest/.1.0.0.building",
    ],
)
def test_folders_that_are_no_packages_are_left_out(home: Path, folder: str) -> None:
    put(home, folder)
    assert store.versions() == {}


def test_files_are_no_packages(home: Path) -> None:
    put(home, "chest")
    (home / "models/chest/1.0.0").write_bytes(b"")
    assert store.versions() == {}


def test_released_version_counts_before_a_local_one(home: Path) -> None:
    put(home, "chest/1.0.0", "chest/2.0.0")
    (store.RELEASED / "chest/1.0.0").mkdir(parents=True)
    assert store.versions() == {
        "chest": {"1.0.0": store.RELEASED / "chest/1.0.0", "2.0.0": home / "models/chest/2.0.0"}
    }


def test_load_verifies(home: Path) -> None:
    root = write_tiny_package(home / "models" / NAME / VERSION)
    assert store.load(NAME).reference_to.version == VERSION
    (root / "added").write_bytes(b"")
    with pytest.raises(PackageTamperedError, match="added is not listed"):
        store.load(f"{NAME}@{VERSION}")


@pytest.mark.parametrize("place", [f"{NAME}/9.9.9", f"other/{VERSION}"])
def test_load_refuses_a_package_in_the_folder_of_another(home: Path, place: str) -> None:
    write_tiny_package(home / "models" / place)
    with pytest.raises(PackageInvalidError, match=f"{place} says that it is {NAME} {VERSION}"):
        store.load(place.replace("/", "@"))


def tiny(home: Path, version: str) -> store.Stated:
    """Put a package of this version into the store and return what an alias of it says."""
    root = write_tiny_package(home / "models" / NAME / version)
    metadata = json.loads((root / METADATA).read_text("utf-8"))
    metadata["version"] = version
    (root / METADATA).write_text(json.dumps(metadata), encoding="utf-8")
    return store.Stated(version, seal(root))


def test_champion_answers_for_a_name_though_a_newer_version_is_there(home: Path) -> None:
    first, second = tiny(home, "1.0.0"), tiny(home, "1.1.0")
    assert store.load(NAME).reference_to.version == "1.1.0"
    store.set_alias(NAME, store.CHAMPION, first)
    store.set_alias(NAME, store.CHALLENGER, second)
    assert store.load(NAME).reference_to.version == "1.0.0"
    assert store.load(f"{NAME}@challenger").reference_to.version == "1.1.0"
    assert store.load(f"{NAME}@1.1.0").reference_to.version == "1.1.0"
    store.set_alias(NAME, store.CHALLENGER, None)
    assert dict(store.aliases(NAME)) == {store.CHAMPION: first}
    with pytest.raises(PackageNotFoundError, match="'challenger'; known versions"):
        store.load(f"{NAME}@challenger")


def test_intact_package_that_is_not_the_aliass_own_is_never_loaded(home: Path) -> None:
    stated = tiny(home, "1.0.0")
    store.set_alias(NAME, store.CHAMPION, stated)
    (home / "models" / NAME / "1.0.0" / CARD).write_text("another card", encoding="utf-8")
    seal(home / "models" / NAME / "1.0.0")
    with pytest.raises(PackageTamperedError, match=r"has the digest .* means .* pull it again"):
        store.load(NAME)


@pytest.mark.parametrize("content", ["", "[]", '{"champion": {"version": "1"}}', '{"champion": 1}'])
def test_spoilt_aliases_are_told(home: Path, content: str) -> None:
    put(home, f"{NAME}/1.0.0")
    (home / "models" / NAME / "aliases.json").write_text(content, encoding="utf-8")
    with pytest.raises(PackageInvalidError, match=r"aliases\.json cannot be read; pull"):
        store.find(NAME)
