"""Quantise a released graph to 8-bit integers, with the accuracy gate.

Static quantisation with QDQ nodes, weights by channel (Jacob et al., CVPR 2018, arXiv:1712.05877;
ONNX Runtime, "Quantize ONNX models"). The layers that make the logits and maps stay in float: they
are a thousandth of the arithmetic and all of the calibration rests on them.
"""

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from models.calibration import Calibration
from models.errors import DataError
from models.reference import Reference
from training import metrics
from training.export import INPUT
from training.graph_run import Outputs
from training.later import later
from training.released_graph import MEMBER_LOGITS, OUTPUTS

METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}
CLASSIFYING_OUTPUTS = ("logits", "activation_map", MEMBER_LOGITS)


@dataclass(frozen=True, slots=True)
class QuantisationConfig:
    """How the graph is quantised, and what it may lose on the validation part."""

    calibration_images: int = 128
    """Training images whose activations decide the ranges."""
    method: str = "minmax"
    """How a range follows from the activations: `minmax`, `entropy` or `percentile`."""
    reduce_range: bool = True
    """Weights of 7 bits: on processors without VNNI, 8 bits overflow in the sums."""
    first_exact: int = later(0)
    """So many convolutions from the image on stay as they are: few weights, much to lose."""
    auc_loss: float = 0.003
    """Largest accepted fall of the AUC."""
    accuracy_loss: float = 0.01
    """Largest accepted fall of the accuracy at the operating point."""
    refusal_change: float = 0.01
    """Largest accepted change of the share of images that the distribution check refuses."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise DataError(
                f"quantisation.method is {self.method!r}; expected one of {', '.join(METHODS)}."
            )


@dataclass(frozen=True, slots=True)
class QuantisationGate:
    """What quantisation changes on the validation part, and whether that is accepted."""

    auc_fp32: float
    auc_int8: float
    accuracy_fp32: float
    accuracy_int8: float
    refused_fp32: float
    refused_int8: float
    largest_probability_change: float
    changed_decisions: float
    """Share of images on the other side of the operating point."""
    accepted: bool
    reason: str
    """Why not, or an empty text."""


class _Images(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime is untyped
    def __init__(self, inputs: NDArray[np.float32]) -> None:
        self._left: Iterator[dict[str, Any]] = iter({INPUT: image[None]} for image in inputs)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next image, or nothing when all were seen."""
        return next(self._left, None)


def quantise(
    source: Path, target: Path, inputs: NDArray[np.float32], config: QuantisationConfig
) -> None:
    """Write the quantised form of the graph `source` to `target`.

    Args:
        source: a graph that passed the parity gate.
        target: where the quantised one goes.
        inputs: prepared training images, shape (n, 1, side, side).
        config: how.
    """
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # the quantiser advises on the root logger to pre-process
    try:
        with tempfile.TemporaryDirectory() as folder:
            prepared = Path(folder) / "prepared.onnx"
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(target),
                _Images(inputs[: config.calibration_images]),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=config.reduce_range,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=METHODS[config.method],
                nodes_to_exclude=[
                    *_classifying_nodes(prepared),
                    *_first_convolutions(prepared, config.first_exact),
                ],
            )
    finally:
        root.setLevel(level)
    onnx.checker.check_model(str(target))


def judge(
    fp32: Outputs,
    int8: Outputs,
    truth: NDArray[np.bool_],
    calibration: Calibration,
    reference: Reference,
    config: QuantisationConfig,
) -> QuantisationGate:
    """Compare both graphs' outputs on the validation part, for all labels together.

    `truth` is of shape (n, labels). Figures of several labels are their mean.

    The same calibration and reference serve both graphs, so both are part of what is compared.
    """
    exact, rounded = (calibration.probabilities(each.logits) for each in (fp32, int8))
    point = np.array([label.operating_point for label in calibration.labels])
    accuracy = [float(((p >= point) == truth).mean()) for p in (exact, rounded)]
    area = [_mean_auc(truth, p) for p in (exact, rounded)]
    refused = [float((reference.score(o.embedding) > 1).mean()) for o in (fp32, int8)]
    losses = (
        ("AUC", area[0] - area[1], config.auc_loss),
        ("accuracy", accuracy[0] - accuracy[1], config.accuracy_loss),
        ("share of refused images", abs(refused[0] - refused[1]), config.refusal_change),
    )
    reasons = _not_finite(int8) + [
        f"{name} changes by {loss:.4f}, at most {allowed:g} is accepted"
        for name, loss, allowed in losses
        if loss > allowed
    ]
    return QuantisationGate(
        auc_fp32=area[0],
        auc_int8=area[1],
        accuracy_fp32=accuracy[0],
        accuracy_int8=accuracy[1],
        refused_fp32=refused[0],
        refused_int8=refused[1],
        # A probability that is no number is as far off as one can be.
        largest_probability_change=float(np.nan_to_num(np.abs(exact - rounded), nan=1.0).max()),
        changed_decisions=float(((exact >= point) != (rounded >= point)).mean()),
        accepted=not reasons,
        reason="; ".join(reasons),
    )


def gate_facts(gate: QuantisationGate) -> dict[str, Any]:
    """Return `gate` for the evaluation file."""
    return asdict(gate)


def _not_finite(outputs: Outputs) -> list[str]:
    """Return a reason for each output that is somewhere not a number: no comparison finds that."""
    return [
        f"{name} is not a finite number"
        for name in OUTPUTS
        if not np.isfinite(getattr(outputs, name)).all()
    ]


def _mean_auc(truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    columns = range(truth.shape[1])
    return float(np.mean([metrics.auc(truth[:, at], probability[:, at]) for at in columns]))


def _classifying_nodes(path: Path) -> list[str]:
    """Return the names of the nodes between the last feature map and the logits and maps.

    They are found from these outputs backwards, up to and without the last activation (Clip).
    """
    graph = onnx.load(str(path)).graph
    producer = {name: node for node in graph.node for name in node.output}
    waiting, found = list(CLASSIFYING_OUTPUTS), set()
    while waiting:
        node = producer.get(waiting.pop())
        if node is None or node.op_type == "Clip" or node.name in found:
            continue
        found.add(node.name)
        waiting += list(node.input)
    return sorted(found)


def _first_convolutions(path: Path, count: int) -> list[str]:
    nodes = onnx.load(str(path)).graph.node
    return [node.name for node in nodes if node.op_type == "Conv"][:count]
