"""What training writes is what serving loads, and a bundle that MONAI reads."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.bundle import ConfigParser
from PIL import Image

from models.calibration import Calibration, LabelCalibration
from models.errors import PackageError, PackageInvalidError
from models.intended_use import rules_from
from models.package import (
    CALIBRATION,
    CARD,
    EVALUATION,
    METADATA,
    ONNX_INT8,
    ModelPackage,
    verify,
)
from models.preprocessing import InputSpec, prepare
from tests.kermany_samples import made_up_radiograph
from tests.package_samples import CALIBRATED, SIDE_PX, tiny_graph, tiny_reference
from training.config import load_config
from training.export import open_session
from training.packaging import INFERENCE, Contents, write_package

VERSION = "1.0.0"
CONFIG = load_config("chest-xray-pneumonia").package


def contents(folder: Path, **changes: Any) -> Contents:
    figure = folder / "roc.png"
    Image.new("L", (8, 8)).save(figure)
    whole = Contents(
        name="tiny-chest",
        version=VERSION,
        config=CONFIG,
        input_spec=InputSpec(SIDE_PX, clip=3.0),
        calibration=Calibration((LabelCalibration(**CALIBRATED),)),
        calibration_facts={"part": "validation"},
        reference=tiny_reference(),
        evaluation={"test": {"auc": 0.9}},
        onnx=tiny_graph(folder / "fp32.onnx"),
        onnx_int8=tiny_graph(folder / "int8.onnx", gain=1.01),
        card="# Tiny · 小型\n",
        map_cells=SIDE_PX // 32,
        figures=(figure,),
    )
    return replace(whole, **changes)


def test_written_package_is_loaded_as_it_was(tmp_path: Path) -> None:
    given = contents(tmp_path)
    root = tmp_path / "packages" / "tiny-chest" / VERSION
    package = write_package(given, root)
    assert package.reference_to == ModelPackage.load(root).reference_to
    assert package.reference_to.digest == verify(root)
    assert (package.reference_to.name, package.reference_to.version) == ("tiny-chest", VERSION)
    assert package.input_spec == given.input_spec
    assert package.labels[0].calibration == given.calibration.labels[0]
    assert package.rules == rules_from([dict(rule) for rule in CONFIG.rules])
    assert package.statement.zh == CONFIG.statement["zh"]
    assert package.onnx_path.read_bytes() == given.onnx.read_bytes()
    assert package.onnx_int8_path is not None
    assert given.onnx_int8 is not None
    assert package.onnx_int8_path.read_bytes() == given.onnx_int8.read_bytes()
    np.testing.assert_array_equal(package.reference.variances, given.reference.variances)
    assert (root / CARD).read_text(encoding="utf-8") == given.card
    assert (root / "docs/roc.png").is_file()
    assert json.loads((root / EVALUATION).read_text(encoding="utf-8")) == given.evaluation
    fitted = json.loads((root / CALIBRATION).read_text(encoding="utf-8"))
    assert fitted["fitted"] == {"part": "validation"}


def test_refused_int8_is_not_shipped(tmp_path: Path) -> None:
    root = tmp_path / "package" / VERSION
    package = write_package(contents(tmp_path, onnx_int8=None), root)
    assert package.onnx_int8_path is None
    assert not (root / ONNX_INT8).exists()


def test_same_contents_give_the_same_package(tmp_path: Path) -> None:
    first = write_package(contents(tmp_path), tmp_path / "first" / VERSION)
    second = write_package(contents(tmp_path), tmp_path / "second" / VERSION)
    changed = contents(tmp_path, card="# Another\n")
    third = write_package(changed, tmp_path / "third" / VERSION)
    assert first.reference_to.digest == second.reference_to.digest != third.reference_to.digest


def test_package_is_replaced_whole(tmp_path: Path) -> None:
    root = tmp_path / "package" / VERSION
    write_package(contents(tmp_path), root)
    (root / "left-over").write_bytes(b"")
    replaced = write_package(contents(tmp_path, card="# New\n"), root)
    assert replaced.reference_to.digest == verify(root)
    assert [path.name for path in root.parent.iterdir()] == [VERSION]


def test_package_that_does_not_fit_replaces_nothing(tmp_path: Path) -> None:
    root = tmp_path / "package" / VERSION
    digest = write_package(contents(tmp_path), root).reference_to.digest
    with pytest.raises(PackageError, match="version"):
        write_package(contents(tmp_path, version="newest"), root)
    assert verify(root) == digest


def test_label_without_codes_is_refused(tmp_path: Path) -> None:
    config = replace(CONFIG, labels=("fracture",))
    with pytest.raises(PackageInvalidError, match="no finding 'fracture'; known are pneumonia"):
        write_package(contents(tmp_path, config=config), tmp_path / "package" / VERSION)


def test_monai_reads_and_runs_the_bundle(tmp_path: Path) -> None:
    root = tmp_path / "package" / VERSION
    package = write_package(contents(tmp_path), root)
    picture = made_up_radiograph(0, True, 96)
    Image.fromarray(picture).save(tmp_path / "radiograph.png")
    parser = ConfigParser()
    parser.read_config(str(root / INFERENCE))
    parser.read_meta(str(root / METADATA))
    parser["bundle_root"] = str(root)
    parser["image_path"] = str(tmp_path / "radiograph.png")
    assert parser.get_parsed_content("preprocessing") == package.input_spec
    logits = parser.get_parsed_content("outputs")[0]
    prepared = prepare(picture, package.input_spec)[np.newaxis]
    expected = open_session(package.onnx_path).run(["logits"], {"image": prepared})[0]
    np.testing.assert_allclose(logits, expected, atol=1e-6)


def test_metadata_have_what_monai_asks_of_a_bundle(tmp_path: Path) -> None:
    root = tmp_path / "package" / VERSION
    write_package(contents(tmp_path), root)
    metadata = json.loads((root / METADATA).read_text(encoding="utf-8"))
    # MONAI Bundle Specification, "metadata.json File": the keys that every bundle has.
    required = {
        "version",
        "changelog",
        "monai_version",
        "pytorch_version",
        "numpy_version",
        "task",
        "description",
        "authors",
        "copyright",
        "network_data_format",
    }
    assert required <= set(metadata)
    image = metadata["network_data_format"]["inputs"]["image"]
    assert image["spatial_shape"] == [SIDE_PX, SIDE_PX]
    assert image["value_range"] == [-3.0, 3.0]
    outputs = metadata["network_data_format"]["outputs"]
    assert outputs["activation_map"]["spatial_shape"] == [SIDE_PX // 32, SIDE_PX // 32]
    assert outputs["logits"]["channel_def"] == {"0": "pneumonia"}
