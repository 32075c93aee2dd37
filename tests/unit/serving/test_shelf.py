import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models import store
from models.errors import PackageInvalidError, PackageNotFoundError, PackageTamperedError
from models.package import METADATA, ONNX_INT8, seal
from serving.precision import Precision
from serving.shelf import Shelf

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
