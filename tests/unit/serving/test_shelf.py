import json
import logging
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models import store
from models.errors import PackageInvalidError, PackageNotFoundError, PackageTamperedError
from models.package import METADATA, ONNX_INT8, seal
from serving.precision import Precision
from serving.shelf import Shelf
from tests.package_samples import NAME, write_tiny_package

MODEL = "chest-xray-pneumonia"


def test_a_model_is_loaded_once_however_it_is_named() -> None:
    shelf = Shelf()
    assert shelf.ready(MODEL) is None
    newest = store.load(MODEL).reference_to.version

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(shelf.recognizer, [MODEL, f"{MODEL}@{newest}"] * 4))

    assert len({id(recognizer) for recognizer in found}) == 1
    assert shelf.ready(MODEL) is found[0]


@pytest.mark.parametrize("model", ["heart", f"{MODEL}@99.0.0", "", "../../etc"])
def test_an_unknown_model_is_named_with_those_known(model: str) -> None:
    with pytest.raises(PackageNotFoundError, match="known"):
        Shelf().recognizer(model)


def test_a_changed_package_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models" / MODEL / "99.0.0"
    shutil.copytree(store.find(MODEL), folder)
    with (folder / "calibration.json").open("a") as calibration:
        calibration.write(" ")
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path))

    with pytest.raises(PackageTamperedError, match=r"calibration\.json"):
        Shelf().recognizer(f"{MODEL}@99.0.0")


def test_a_precision_that_a_package_does_not_have_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models" / MODEL / "99.0.0"
    shutil.copytree(store.find(MODEL), folder)
    metadata = json.loads((folder / METADATA).read_text("utf-8"))
    metadata["version"] = "99.0.0"
    metadata["zhuzhen"]["files"].pop("int8", None)
    (folder / METADATA).write_text(json.dumps(metadata), encoding="utf-8")
    (folder / ONNX_INT8).unlink(missing_ok=True)
    seal(folder)
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path))

    with pytest.raises(PackageInvalidError, match="has no INT8 graph"):
        Shelf(Precision.INT8).recognizer(f"{MODEL}@99.0.0")


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, store.Stated]:
    """Two versions of a tiny model in a store of their own; 1.0.0 is the champion."""
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path))
    stated = {}
    for version in ("1.0.0", "1.1.0"):
        root = write_tiny_package(tmp_path / "models" / NAME / version)
        metadata = json.loads((root / METADATA).read_text("utf-8"))
        metadata["version"] = version
        (root / METADATA).write_text(json.dumps(metadata), encoding="utf-8")
        stated[version] = store.Stated(version, seal(root))
    store.set_alias(NAME, store.CHAMPION, stated["1.0.0"])
    return stated


def test_changed_alias_is_followed_and_the_old_package_let_go(
    versions: dict[str, store.Stated],
) -> None:
    shelf = Shelf()
    before = shelf.recognizer(NAME)
    assert shelf.follow_once() == []
    store.set_alias(NAME, store.CHAMPION, versions["1.1.0"])
    assert shelf.follow_once() == [NAME]
    after = shelf.ready(NAME)
    assert after is not None
    assert after.package.reference_to.digest == versions["1.1.0"].digest
    assert shelf.ready(f"{NAME}@1.0.0") is None
    # Who took the old one still has it whole.
    assert before.package.reference_to.version == "1.0.0"
    assert before.read(b"").pre_read.model.version == "1.0.0"


def test_version_that_was_asked_for_is_not_replaced(versions: dict[str, store.Stated]) -> None:
    shelf = Shelf()
    exact = shelf.recognizer(f"{NAME}@1.0.0")
    store.set_alias(NAME, store.CHAMPION, versions["1.1.0"])
    assert shelf.follow_once() == []
    assert shelf.ready(f"{NAME}@1.0.0") is exact


def test_package_that_must_not_be_loaded_leaves_the_old_one_answering(
    versions: dict[str, store.Stated], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf()
    before = shelf.recognizer(NAME)
    with (tmp_path / "models" / NAME / "1.1.0" / "calibration.json").open("a") as file:
        file.write(" ")
    store.set_alias(NAME, store.CHAMPION, versions["1.1.0"])
    with caplog.at_level(logging.ERROR):
        assert shelf.follow_once() == []
        assert shelf.follow_once() == []
    assert shelf.ready(NAME) is before
    assert len(caplog.records) == 1
    assert "version 1.0.0 goes on answering" in caplog.text


def test_no_request_is_dropped_or_answered_by_half_a_model(
    versions: dict[str, store.Stated],
) -> None:
    shelf = Shelf()
    shelf.recognizer(NAME)
    shelf.follow(every_s=0.01)
    stop = threading.Event()
    answered: list[tuple[str, str]] = []

    def ask() -> None:
        while not stop.is_set():
            model = shelf.recognizer(NAME).read(b"").pre_read.model
            answered.append((model.version, model.digest))

    with ThreadPoolExecutor(3) as askers:
        asking = [askers.submit(ask) for _ in range(3)]
        try:
            for _ in range(5):
                for version in ("1.1.0", "1.0.0"):
                    store.set_alias(NAME, store.CHAMPION, versions[version])
                    for _ in range(2_000):
                        now = shelf.ready(NAME)
                        if now is not None and now.package.reference_to.version == version:
                            break
                        stop.wait(0.005)
                    else:
                        pytest.fail(f"the service never followed to {version}")
        finally:
            stop.set()
            shelf.close()
        for each in asking:
            each.result()
    known = {(stated.version, stated.digest) for stated in versions.values()}
    assert set(answered) == known
