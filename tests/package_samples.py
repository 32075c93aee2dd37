"""A model package of a few kilobytes, for tests of what loads and runs packages."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.package import CALIBRATION, CARD, EVALUATION, METADATA, ONNX, REFERENCE, seal
from models.reference import Reference

SIDE_PX = 64
NAME, VERSION = "tiny-model", "1.2.3"

CALIBRATED: Mapping[str, float] = {
    "slope": 2.0,
    "intercept": -1.0,
    "operating_point": 0.5,
    "conformal_coverage": 0.9,
    "present_from": 0.4,
    "absent_to": 0.6,
}
RULES: tuple[Mapping[str, Any], ...] = (
    {"fact": "modality", "allowed": ["CR", "DX"]},
    {"fact": "age_years", "minimum": 1, "below": 6, "margin": 1.0},
)


def metadata() -> dict[str, Any]:
    """Metadata that fit the contract."""
    return {
        "schema": "https://example.org/schema.json",
        "version": VERSION,
        "name": NAME,
        "task": "a task",
        "description": "a description",
        "authors": "authors",
        "copyright": "copyright",
        "monai_version": "1.6.1",
        "pytorch_version": "2.13.0",
        "numpy_version": "2.4.6",
        "changelog": {VERSION: "First."},
        "network_data_format": {"inputs": {}, "outputs": {}},
        "zhuzhen": {
            "contract": 1,
            "input": {
                "kind": "radiograph",
                "side_px": SIDE_PX,
                "intensity": "standardised",
                "clip": 4.0,
            },
            "labels": [
                {
                    "label": "pneumonia",
                    "name": {"en": "Pneumonia", "zh": "肺炎"},
                    "codes": [
                        {
                            "system": "http://snomed.info/sct",
                            "value": "233604007",
                            "display": "Pneumonia",
                        }
                    ],
                }
            ],
            "intended_use": {
                "statement": {"en": "For tests.", "zh": "仅供测试。"},
                "rules": [dict(rule) for rule in RULES],
            },
            "files": {"fp32": ONNX},
        },
    }


def tiny_graph(path: Path, gain: float = 1.0) -> Path:
    """Write a graph with the outputs of the contract: its map is the image in 32 px cells."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, SIDE_PX, SIDE_PX])
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 1]),
        helper.make_tensor_value_info("activation_map", TensorProto.FLOAT, ["n", 1, "r", "c"]),
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", "f"]),
    ]
    nodes = [
        helper.make_node(
            "AveragePool", ["image"], ["cells"], kernel_shape=[32, 32], strides=[32, 32]
        ),
        helper.make_node("Mul", ["cells", "gain"], ["activation_map"]),
        helper.make_node("ReduceMean", ["activation_map", "axes"], ["logits"], keepdims=0),
        helper.make_node("Flatten", ["cells"], ["embedding"]),
    ]
    constants = [
        helper.make_tensor("gain", TensorProto.FLOAT, [1], [gain]),
        helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]),
    ]
    graph = helper.make_graph(nodes, "tiny", [image], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


def tiny_reference() -> Reference:
    """A reference in the four-dimensional embedding of the tiny graph."""
    return Reference(
        mean=np.zeros(4, np.float32),
        components=np.eye(4, dtype=np.float32)[:2],
        variances=np.array([2.0, 1.0], np.float32),
        residual_variance=0.5,
        threshold=3.0,
    )


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path`, whose folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def write_tiny_package(root: Path) -> Path:
    """Write a sealed package at `root` and return it."""
    write_json(root / METADATA, metadata())
    write_json(root / CALIBRATION, {"labels": {"pneumonia": dict(CALIBRATED)}})
    write_json(root / EVALUATION, {})
    tiny_graph(root / ONNX)
    tiny_reference().save(root / REFERENCE)
    (root / CARD).parent.mkdir(parents=True)
    (root / CARD).write_text("# tiny", encoding="utf-8")
    seal(root)
    return root
