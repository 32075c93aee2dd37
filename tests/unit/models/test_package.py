import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from models.calibration import LabelCalibration
from models.errors import PackageInvalidError, PackageTamperedError
from models.intended_use import Allowed, Range
from models.package import (
    CALIBRATION,
    CARD,
    CHECKSUMS,
    METADATA,
    ONNX,
    REFERENCE,
    ModelPackage,
    seal,
    verify,
)
from models.preprocessing import InputSpec
from tests.package_samples import (
    CALIBRATED,
    NAME,
    SIDE_PX,
    VERSION,
    metadata,
    write_json,
    write_tiny_package,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tiny_package(tmp_path / NAME / VERSION)


def test_package_is_read_as_it_was_written(root: Path) -> None:
    package = ModelPackage.load(root)
    assert (package.reference_to.name, package.reference_to.version) == (NAME, VERSION)
    assert package.input_spec == InputSpec(SIDE_PX)
    (label,) = package.labels
    assert (label.label, label.name.zh, label.codes[0].value) == ("pneumonia", "肺炎", "233604007")
    assert label.calibration == LabelCalibration(**CALIBRATED)
    assert package.rules == (Allowed("modality", ("CR", "DX")), Range("age_years", 1, 6, 1.0))
    assert package.statement.en == "For tests."
    assert package.reference.threshold == 3.0
    assert package.onnx_path == (root / ONNX).resolve()
    assert package.onnx_int8_path is None


def test_graph_of_the_package_runs(root: Path) -> None:
    session = ort.InferenceSession(str(ModelPackage.load(root).onnx_path))
    image = np.zeros((2, 1, SIDE_PX, SIDE_PX), np.float32)
    image[1, 0, :32, :32] = 1.0
    logits, activation_map, embedding = session.run(None, {"image": image})
    np.testing.assert_allclose(logits, [[0.0], [0.25]])
    assert activation_map.shape == (2, 1, 2, 2)
    np.testing.assert_allclose(embedding[1], [1, 0, 0, 0])


def test_quantised_graph_is_found_where_named(root: Path) -> None:
    shutil.copyfile(root / ONNX, root / "models/model.int8.onnx")
    changed = metadata()
    changed["zhuzhen"]["files"]["int8"] = "models/model.int8.onnx"
    write_json(root / METADATA, changed)
    seal(root)
    found = ModelPackage.load(root).onnx_int8_path
    assert found == (root / "models/model.int8.onnx").resolve()


def test_digest_is_that_of_the_checksum_file(root: Path) -> None:
    expected = hashlib.sha256((root / CHECKSUMS).read_bytes()).hexdigest()
    assert verify(root) == f"sha256:{expected}"
    assert ModelPackage.load(root).reference_to.digest == f"sha256:{expected}"
    assert seal(root) == f"sha256:{expected}"


def test_checksum_file_is_that_of_sha256sum(root: Path) -> None:
    lines = (root / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    names = [line[66:] for line in lines]
    assert names == sorted(names)
    for line, name in zip(lines, names, strict=True):
        assert line == f"{hashlib.sha256((root / name).read_bytes()).hexdigest()}  {name}"


def test_digest_does_not_depend_on_the_folder(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "elsewhere")
    assert verify(tmp_path / "elsewhere") == verify(root)


def change_one_byte(root: Path) -> str:
    content = bytearray((root / ONNX).read_bytes())
    content[len(content) // 2] ^= 1
    (root / ONNX).write_bytes(bytes(content))
    return f"{ONNX} has SHA-256"


def remove_card(root: Path) -> str:
    (root / CARD).unlink()
    return f"{CARD} is listed but missing"


def add_file(root: Path) -> str:
    (root / "models/extra.onnx").write_bytes(b"")
    return r"models/extra\.onnx is not listed"


def add_second_checksums(root: Path) -> str:
    (root / "models" / CHECKSUMS).write_bytes(b"anything")
    return f"models/{CHECKSUMS} is not listed"


def swap_digest(root: Path) -> str:
    text = (root / CHECKSUMS).read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.endswith(CALIBRATION))
    (root / CHECKSUMS).write_text(text.replace(line, f"{'0' * 64}  {CALIBRATION}"))
    return f"{CALIBRATION} has SHA-256 .*, expected 000000000000"


def list_file_outside(root: Path) -> str:
    outside = root.parent / "outside"
    outside.write_bytes(b"x")
    with (root / CHECKSUMS).open("a") as stream:
        stream.write(f"{hashlib.sha256(b'x').hexdigest()}  ../outside\n")
    return r"\.\./outside is listed but missing"


def garble_checksums(root: Path) -> str:
    (root / CHECKSUMS).write_text("nonsense\n", encoding="utf-8")
    return f"{CHECKSUMS} is missing or unreadable"


def make_checksums_binary(root: Path) -> str:
    (root / CHECKSUMS).write_bytes(b"\xff\xfe\x00")
    return f"{CHECKSUMS} is missing or unreadable"


def remove_checksums(root: Path) -> str:
    (root / CHECKSUMS).unlink()
    return f"{CHECKSUMS} is missing or unreadable"


def empty_checksums(root: Path) -> str:
    (root / CHECKSUMS).write_text("", encoding="utf-8")
    return f"{CALIBRATION} is not listed"


@pytest.mark.parametrize(
    "tamper",
    [
        change_one_byte,
        remove_card,
        add_file,
        add_second_checksums,
        swap_digest,
        list_file_outside,
        garble_checksums,
        make_checksums_binary,
        remove_checksums,
        empty_checksums,
    ],
)
def test_tampered_package_is_not_loaded(root: Path, tamper: Callable[[Path], str]) -> None:
    told = tamper(root)
    with pytest.raises(PackageTamperedError, match=told):
        ModelPackage.load(root)


def test_every_byte_of_every_file_counts(root: Path) -> None:
    for path in [each for each in root.rglob("*") if each.is_file()]:
        content = path.read_bytes()
        path.write_bytes(content + b"\n")
        if path.name == CHECKSUMS:
            # An empty line is no line of a digest.
            with pytest.raises(PackageTamperedError):
                verify(root)
        else:
            with pytest.raises(PackageTamperedError, match=path.name):
                verify(root)
        path.write_bytes(content)
    verify(root)


Steps = tuple[str | int, ...]


def changed_metadata(steps: Steps, value: Any) -> dict[str, Any]:
    """Metadata with `value` at the place that `steps` lead to."""
    whole = metadata()
    place: Any = whole
    for step in steps[:-1]:
        place = place[step]
    place[steps[-1]] = value
    return whole


@pytest.mark.parametrize(
    ("steps", "value", "where"),
    [
        (("version",), "1.0", "version"),
        (("name",), "Not A Name", "name"),
        (("changelog",), {}, "changelog"),
        (("zhuzhen", "contract"), 2, "zhuzhen/contract"),
        (("zhuzhen", "input", "kind"), "slide", "zhuzhen/input/kind"),
        (("zhuzhen", "input", "side_px"), 100, "zhuzhen/input/side_px"),
        (("zhuzhen", "input", "side_px"), 4096, "zhuzhen/input/side_px"),
        (("zhuzhen", "input", "intensity"), "raw", "zhuzhen/input/intensity"),
        (("zhuzhen", "input", "clip"), 0, "zhuzhen/input/clip"),
        (("zhuzhen", "input", "sides"), 1, "zhuzhen/input"),
        (("zhuzhen", "labels"), [], "zhuzhen/labels"),
        (("zhuzhen", "labels", 0, "codes"), [], "zhuzhen/labels/0/codes"),
        (("zhuzhen", "labels", 0, "name"), {"en": "Pneumonia"}, "zhuzhen/labels/0/name"),
        (("zhuzhen", "intended_use", "rules"), [], "zhuzhen/intended_use/rules"),
        (
            ("zhuzhen", "intended_use", "rules", 0),
            {"fact": "modality", "allowed": ["CR"], "minimum": 0, "below": 1},
            "zhuzhen/intended_use/rules/0",
        ),
        (
            ("zhuzhen", "intended_use", "rules", 0),
            {"fact": "age_years", "minimum": 1},
            "zhuzhen/intended_use/rules/0",
        ),
        (
            ("zhuzhen", "intended_use", "rules", 1, "margin"),
            -1,
            "zhuzhen/intended_use/rules/1/margin",
        ),
        (("zhuzhen", "files"), {"int8": ONNX}, "zhuzhen/files"),
        (("zhuzhen",), {}, "zhuzhen"),
    ],
)
def test_metadata_against_the_schema_are_refused(
    root: Path, steps: Steps, value: Any, where: str
) -> None:
    write_json(root / METADATA, changed_metadata(steps, value))
    seal(root)
    with pytest.raises(PackageInvalidError, match=f"at {where}: "):
        ModelPackage.load(root)


@pytest.mark.parametrize("key", sorted(set(metadata()) - {"zhuzhen"}))
def test_metadata_without_a_required_key_are_refused(root: Path, key: str) -> None:
    whole = metadata()
    del whole[key]
    write_json(root / METADATA, whole)
    seal(root)
    with pytest.raises(PackageInvalidError, match=f"top level: '{key}' is a required property"):
        ModelPackage.load(root)


@pytest.mark.parametrize(
    "name", ["../outside.onnx", "models/absent.onnx", "/etc/hostname", "models"]
)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_graphs_outside_the_package_are_refused(root: Path, name: str, precision: str) -> None:
    shutil.copyfile(root / ONNX, root.parent / "outside.onnx")
    changed = metadata()
    changed["zhuzhen"]["files"][precision] = name
    write_json(root / METADATA, changed)
    seal(root)
    with pytest.raises(PackageInvalidError, match=f"names {name}, which is not a file of"):
        ModelPackage.load(root)


def test_unknown_fact_in_a_rule_is_refused(root: Path) -> None:
    changed = changed_metadata(("zhuzhen", "intended_use", "rules", 0, "fact"), "shoe_size")
    write_json(root / METADATA, changed)
    seal(root)
    with pytest.raises(PackageInvalidError, match="'shoe_size'"):
        ModelPackage.load(root)


def without(name: str) -> dict[str, float]:
    return {key: value for key, value in CALIBRATED.items() if key != name}


@pytest.mark.parametrize(
    ("calibration", "told"),
    [
        ({"labels": {"fracture": dict(CALIBRATED)}}, "fracture"),
        ({"labels": {"pneumonia": dict(CALIBRATED), "fracture": dict(CALIBRATED)}}, "same labels"),
        ({"labels": {}}, "same labels"),
        ({}, "same labels"),
        ([], "same labels"),
        ({"labels": 5}, "same labels"),
        ({"labels": {"pneumonia": without("slope")}}, "slope"),
        ({"labels": {"pneumonia": dict(CALIBRATED) | {"slope": "2"}}}, "slope"),
        ({"labels": {"pneumonia": dict(CALIBRATED) | {"slope": -1.0}}}, "slope"),
    ],
)
def test_calibration_that_does_not_fit_the_labels_is_refused(
    root: Path, calibration: Any, told: str
) -> None:
    write_json(root / CALIBRATION, calibration)
    seal(root)
    with pytest.raises(PackageInvalidError, match=told):
        ModelPackage.load(root)


@pytest.mark.parametrize("name", [METADATA, CALIBRATION])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}"])
def test_file_that_is_no_json_is_refused(root: Path, name: str, content: bytes) -> None:
    (root / name).write_bytes(content)
    seal(root)
    with pytest.raises(PackageInvalidError, match="cannot be read as JSON"):
        ModelPackage.load(root)


def test_reference_that_is_no_archive_is_refused(root: Path) -> None:
    (root / REFERENCE).write_bytes(b"PK\x03\x04 and then nothing")
    seal(root)
    with pytest.raises(PackageInvalidError, match="cannot be read as a reference"):
        ModelPackage.load(root)


def test_metadata_are_read_as_utf8(root: Path) -> None:
    raw = (root / METADATA).read_bytes().decode("utf-8")
    assert json.loads(raw)["zhuzhen"]["labels"][0]["name"]["zh"] == "肺炎"
    assert ModelPackage.load(root).statement.zh == "仅供测试。"
