"""Write a model package: the folder that serving loads, which is also a MONAI bundle.

`models.package` describes the files and checks them; this module alone creates them.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch

from models.calibration import LabelCalibration
from models.codes import FINDING_CODES, FINDING_NAMES
from models.errors import PackageInvalidError
from models.package import (
    CALIBRATION,
    CARD,
    EVALUATION,
    METADATA,
    ONNX,
    ONNX_INT8,
    REFERENCE,
    ModelPackage,
    seal,
)
from models.preprocessing import InputSpec
from models.reference import Reference

INFERENCE = "configs/inference.json"
MONAI_SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)
"""The metadata schema that MONAI's bundles name (MONAI Bundle Specification, metadata.json)."""


@dataclass(frozen=True, slots=True)
class PackageConfig:
    """What a package says about itself, from the training configuration."""

    description: str
    task: str
    authors: str
    copyright: str
    licence: str
    intended_use: str
    data_source: str
    references: tuple[str, ...]
    changelog: Mapping[str, str]
    labels: tuple[str, ...]
    """Names out of `models.codes`, in the order of the network's logits."""
    statement: Mapping[str, str]
    """The intended use in words, under `en` and `zh`."""
    rules: tuple[Mapping[str, Any], ...]
    """The intended use as rules; see `models.intended_use`."""


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that goes into one package."""

    name: str
    version: str
    config: PackageConfig
    input_spec: InputSpec
    calibration: Mapping[str, LabelCalibration]
    calibration_facts: Mapping[str, Any]
    """How the calibration was fitted; kept beside it."""
    reference: Reference
    evaluation: Mapping[str, Any]
    onnx: Path
    onnx_int8: Path | None
    """`None` where the accuracy gate refused it."""
    card: str
    """The card in Markdown."""
    figures: tuple[Path, ...] = ()
    """Pictures that the card shows; they go beside it."""


def write_package(contents: Contents, root: Path) -> ModelPackage:
    """Write, seal and load back the package at `root`, replacing an unreleased one there.

    It is built beside its place and moved there whole, so that no half-written package is ever
    found under its name.

    Raises:
        PackageInvalidError: the written package does not fit the contract.
    """
    building = root.with_name(f".{root.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    for folder in ("configs", "models", "docs"):
        (building / folder).mkdir(parents=True)
    shutil.copyfile(contents.onnx, building / ONNX)
    if contents.onnx_int8 is not None:
        shutil.copyfile(contents.onnx_int8, building / ONNX_INT8)
    _write_json(building / METADATA, metadata(contents))
    _write_json(building / INFERENCE, inference_config())
    _write_json(building / CALIBRATION, _calibration(contents))
    _write_json(building / EVALUATION, contents.evaluation)
    contents.reference.save(building / REFERENCE)
    (building / CARD).write_text(contents.card, encoding="utf-8")
    for figure in contents.figures:
        shutil.copyfile(figure, building / "docs" / figure.name)
    seal(building)
    ModelPackage.load(building)
    shutil.rmtree(root, ignore_errors=True)
    building.rename(root)
    return ModelPackage.load(root)


def metadata(contents: Contents) -> dict[str, Any]:
    """Return `configs/metadata.json`: MONAI's keys, and our contract under `zhuzhen`."""
    config, spec = contents.config, contents.input_spec
    files = {"fp32": ONNX} | ({"int8": ONNX_INT8} if contents.onnx_int8 else {})
    return {
        "schema": MONAI_SCHEMA,
        "version": contents.version,
        "name": contents.name,
        "changelog": dict(config.changelog),
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.partition("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {"onnxruntime": _version_of("onnxruntime")},
        "task": config.task,
        "description": config.description,
        "authors": config.authors,
        "copyright": config.copyright,
        "license": config.licence,
        "intended_use": config.intended_use,
        "data_source": config.data_source,
        "references": list(config.references),
        "network_data_format": _network_data_format(spec, config.labels),
        "zhuzhen": {
            "contract": 1,
            "input": {"kind": "radiograph", **asdict(spec)},
            "labels": [_label(name) for name in config.labels],
            "intended_use": {
                "statement": dict(config.statement),
                "rules": [dict(rule) for rule in config.rules],
            },
            "files": files,
        },
    }


def inference_config() -> dict[str, Any]:
    """Return `configs/inference.json`, which `python -m monai.bundle run` can execute.

    It runs the released graph on one picture given as `--image_path` and needs this project on the
    Python path, since the preprocessing is defined there once.
    """
    return {
        # One name each: MONAI reads no further than the first name of a line.
        "imports": [
            "$import json",
            "$import numpy",
            "$import pathlib",
            "$from PIL import Image",
            "$from models.preprocessing import InputSpec",
            "$from models.preprocessing import prepare",
        ],
        "bundle_root": ".",
        "image_path": "",
        "device": "cpu",
        "metadata": f"$json.loads(pathlib.Path(@bundle_root, '{METADATA}').read_text('utf-8'))",
        "input": "$@metadata['zhuzhen']['input']",
        "preprocessing": "$InputSpec(@input['side_px'], @input['intensity'], @input['clip'])",
        "pixels": "$numpy.asarray(Image.open(@image_path).convert('L'))",
        "network_def": {
            "_target_": "onnxruntime.InferenceSession",
            "path_or_bytes": f"$str(pathlib.Path(@bundle_root, '{ONNX}'))",
            "providers": ["CPUExecutionProvider"],
        },
        "outputs": "$@network_def.run(None, {'image': prepare(@pixels, @preprocessing)[None]})",
        "run": ["$print('logits', @outputs[0].tolist())"],
    }


def _network_data_format(spec: InputSpec, labels: tuple[str, ...]) -> dict[str, Any]:
    channels = {str(index): label for index, label in enumerate(labels)}
    common = {"dtype": "float32", "is_patch_data": False}
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "CR",
        "num_channels": 1,
        "spatial_shape": [spec.side_px, spec.side_px],
        "value_range": [-spec.clip, spec.clip],
        "channel_def": {"0": "grey level, standardised within the image"},
        **common,
    }
    cells = spec.side_px // 32
    outputs = {
        "logits": ("classification", [], channels, len(labels)),
        "activation_map": ("heatmap", [cells, cells], channels, len(labels)),
        "embedding": ("feature", [], {"0": "pooled features"}, 1),
    }
    return {
        "inputs": {"image": image},
        "outputs": {
            name: {
                "type": "feature",
                "format": kind,
                "num_channels": count,
                "spatial_shape": shape,
                "value_range": [],
                "channel_def": meaning,
                **common,
            }
            for name, (kind, shape, meaning, count) in outputs.items()
        },
    }


def _label(name: str) -> dict[str, Any]:
    if name not in FINDING_CODES:
        raise PackageInvalidError(
            f"models.codes has no finding {name!r}; known are {', '.join(FINDING_CODES)}."
        )
    return {
        "label": name,
        "name": asdict(FINDING_NAMES[name]),
        "codes": [asdict(code) for code in FINDING_CODES[name]],
    }


def _calibration(contents: Contents) -> dict[str, Any]:
    labels = {name: asdict(value) for name, value in contents.calibration.items()}
    return {"labels": labels, "fitted": dict(contents.calibration_facts)}


def _write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _version_of(distribution: str) -> str:
    from importlib.metadata import version

    return version(distribution)
