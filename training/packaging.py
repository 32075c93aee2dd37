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

from models.calibration import Calibration
from models.codes import FINDING_CODES, FINDING_NAMES
from models.errors import PackageInvalidError
from models.findings import Code, Text
from models.intended_use import rules_from
from models.package import (
    CALIBRATION,
    CARD,
    EVALUATION,
    METADATA,
    ONNX,
    ONNX_INT8,
    REFERENCE,
    ModelPackage,
    check_metadata,
    seal,
)
from models.preprocessing import InputSpec
from models.reference import Reference
from models.table import TableSpec
from training.later import later

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
    limits: tuple[str, ...] = later(())
    """What a user must know that the model cannot do, for the card."""
    findings: tuple[Mapping[str, Any], ...] = later(())
    """Labels that `models.codes` does not have: `label`, `en`, `zh`, and `codes` with `system`,
    `value` and `display`."""

    def finding(self, label: str) -> tuple[Text, tuple[Code, ...]]:
        """Return the name and the codes of `label`.

        Raises:
            PackageInvalidError: neither the configuration nor `models.codes` knows it.
        """
        for own in self.findings:
            if own["label"] == label:
                codes = tuple(Code(**code) for code in own["codes"])
                return Text(own["en"], own["zh"]), codes
        if label not in FINDING_CODES:
            raise PackageInvalidError(
                f"models.codes has no finding {label!r}; known are {', '.join(FINDING_CODES)}. "
                "Name others under package.findings."
            )
        return FINDING_NAMES[label], FINDING_CODES[label]


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that goes into one package."""

    name: str
    version: str
    config: PackageConfig
    input_spec: InputSpec | TableSpec
    calibration: Calibration
    """Of the labels, in their order."""
    calibration_facts: Mapping[str, Any]
    """How the calibration was fitted; kept beside it."""
    reference: Reference
    evaluation: Mapping[str, Any]
    onnx: Path
    onnx_int8: Path | None
    """`None` where the accuracy gate refused it."""
    card: str
    """The card in Markdown."""
    map_cells: int = 0
    """Cells along each side of the graph's activation map; a table has none."""
    figures: tuple[Path, ...] = ()
    """Pictures that the card shows; they go beside it."""


def write_package(contents: Contents, root: Path, *, used: bool = False) -> ModelPackage:
    """Write, seal and load back the package at `root`, replacing one there that is not `used`.

    It is built beside its place and moved there whole, so that no half-written package is ever
    found under its name.

    Raises:
        PackageInvalidError: the written package does not fit the contract, or the one at `root` is
            used and another.
    """
    building = root.with_name(f".{root.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    for folder in ("configs", "models", "docs"):
        (building / folder).mkdir(parents=True)
    shutil.copyfile(contents.onnx, building / ONNX)
    if contents.onnx_int8 is not None:
        shutil.copyfile(contents.onnx_int8, building / ONNX_INT8)
    stated = Stated(
        contents.name,
        contents.version,
        contents.config,
        contents.input_spec,
        contents.calibration.exclusive,
        contents.onnx_int8 is not None,
        contents.map_cells,
    )
    _write_json(building / METADATA, metadata(stated))
    if isinstance(contents.input_spec, InputSpec):
        _write_json(building / INFERENCE, inference_config())
    _write_json(building / CALIBRATION, _calibration(contents))
    _write_json(building / EVALUATION, contents.evaluation)
    contents.reference.save(building / REFERENCE)
    (building / CARD).write_text(contents.card, encoding="utf-8")
    for figure in contents.figures:
        shutil.copyfile(figure, building / "docs" / figure.name)
    seal(building)
    made = ModelPackage.load(building)
    if used and root.exists():
        shutil.rmtree(building)
        return _require_same(ModelPackage.load(root), made)
    shutil.rmtree(root, ignore_errors=True)
    building.rename(root)
    return ModelPackage.load(root)


def _require_same(there: ModelPackage, made: ModelPackage) -> ModelPackage:
    before, now = there.reference_to, made.reference_to
    if before.digest != now.digest:
        raise PackageInvalidError(
            f"{now.name} {now.version} is used already, with the digest {before.digest}; what was "
            f"made now has {now.digest}: code or libraries are others, although data and "
            "configuration are the same. Raise `version`; what was learnt is kept."
        )
    return there


def require_complete(
    name: str, version: str, config: PackageConfig, spec: InputSpec | TableSpec
) -> None:
    """Hold what a package will say of itself against the contract, before anything is trained.

    Raises:
        PackageInvalidError: something is missing or unknown; the message names the place.
    """
    # As it is read back: lists, not tuples.
    told = json.loads(json.dumps(metadata(Stated(name, version, config, spec))))
    check_metadata(told)
    rules_from(told["zhuzhen"]["intended_use"]["rules"])


@dataclass(frozen=True, slots=True)
class Stated:
    """What a package says of itself, apart from figures."""

    name: str
    version: str
    config: PackageConfig
    spec: InputSpec | TableSpec
    exclusive: bool = False
    quantised: bool = False
    map_cells: int = 0


def metadata(stated: Stated) -> dict[str, Any]:
    """Return `configs/metadata.json`: MONAI's keys, and our contract under `zhuzhen`."""
    config, spec = stated.config, stated.spec
    files = {"fp32": ONNX} | ({"int8": ONNX_INT8} if stated.quantised else {})
    return {
        "schema": MONAI_SCHEMA,
        "version": stated.version,
        "name": stated.name,
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
        "network_data_format": _network_data_format(spec, config.labels, stated.map_cells),
        "zhuzhen": {
            "contract": 1,
            "input": _input(spec),
            **({"exclusive": True} if stated.exclusive else {}),
            "labels": [_label(config, name) for name in config.labels],
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
        "preprocessing": "$InputSpec(**@input)",
        "mode": "$'L' if @preprocessing.channels == 1 else 'RGB'",
        "pixels": "$numpy.asarray(Image.open(@image_path).convert(@mode))",
        "network_def": {
            "_target_": "onnxruntime.InferenceSession",
            "path_or_bytes": f"$str(pathlib.Path(@bundle_root, '{ONNX}'))",
            "providers": ["CPUExecutionProvider"],
        },
        "outputs": "$@network_def.run(None, {'image': prepare(@pixels, @preprocessing)[None]})",
        "run": ["$print('logits', @outputs[0].tolist())"],
    }


def _network_data_format(
    spec: InputSpec | TableSpec, labels: tuple[str, ...], cells: int
) -> dict[str, Any]:
    if isinstance(spec, TableSpec):
        return _table_data_format(spec, labels)
    channels = {str(index): label for index, label in enumerate(labels)}
    common = {"dtype": "float32", "is_patch_data": False}
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "CR" if spec.channels == 1 else "SM",
        "num_channels": spec.channels,
        "spatial_shape": [spec.side_px, spec.side_px],
        "value_range": [-spec.clip, spec.clip] if spec.channels == 1 else [-1, 1],
        "channel_def": {"0": "grey level, standardised within the image"}
        if spec.channels == 1
        else {"0": "red", "1": "green", "2": "blue"},
        **common,
    }
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


def _table_data_format(spec: TableSpec, labels: tuple[str, ...]) -> dict[str, Any]:
    names = {str(at): each.name for at, each in enumerate(spec.inputs)}
    vector = {"type": "tuple", "format": "tabular", "num_channels": len(names)}
    told = {"type": "probabilities", "format": "log-odds", "num_channels": len(labels)}
    added = {"type": "tuple", "format": "log-odds", "num_channels": len(names)}
    return {
        "inputs": {"inputs": {**vector, "channel_def": names}},
        "outputs": {
            "logits": {**told, "channel_def": dict(enumerate(labels))},
            "contributions": {**added, "channel_def": names},
        },
    }


def _input(spec: InputSpec | TableSpec) -> dict[str, Any]:
    told = asdict(spec)
    if isinstance(spec, TableSpec):
        told["inputs"] = [_without_nothing(each) for each in told["inputs"]]
        return told
    if spec.um_per_px is None:
        del told["um_per_px"]
    return told


def _without_nothing(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if value not in (None, "", (), {})}


def _label(config: PackageConfig, label: str) -> dict[str, Any]:
    name, codes = config.finding(label)
    return {"label": label, "name": asdict(name), "codes": [asdict(code) for code in codes]}


def _calibration(contents: Contents) -> dict[str, Any]:
    fitted = zip(contents.config.labels, contents.calibration.labels, strict=True)
    labels = {name: asdict(value) for name, value in fitted}
    return {"labels": labels, "fitted": dict(contents.calibration_facts)}


def _write_json(path: Path, value: Any) -> None:
    try:
        text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    except ValueError as error:
        raise PackageInvalidError(
            f"{path.name} has a figure that is not a number: a part of the data has samples of one "
            "class alone. Give it more data, or other shares in `split`."
        ) from error
    path.write_text(text + "\n", encoding="utf-8")


def _version_of(distribution: str) -> str:
    from importlib.metadata import version

    return version(distribution)
