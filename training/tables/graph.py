"""An additive model as an ONNX graph that shows what each input adds.

From `inputs` of shape (n, inputs), NaN where missing:
    logits         (n, 1): the log-odds
    contributions  (n, inputs): what each input adds to them; with `baseline` they sum to the logits
    baseline       (1,)
    embedding      (n, inputs): the inputs in standard deviations, 0 where missing, for the
                   out-of-distribution check
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.export import OPSET, ExportRefusedError, open_session
from training.tables.additive import AdditiveModel

INPUT = "inputs"
OUTPUTS = ("logits", "contributions", "baseline", "embedding")
_IR_VERSION = 10

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TableParity:
    """Largest absolute difference of each output between ONNX Runtime and numpy in float64."""

    logits: float
    contributions: float
    people: int


@dataclass(frozen=True, slots=True)
class TableTolerance:
    """How far ONNX Runtime, in float32, may be."""

    logits_tolerance: float = 1e-3
    contributions_tolerance: float = 1e-3


def write_graph(model: AdditiveModel, centre: Floats, spread: Floats, path: Path) -> None:
    """Write `model` to `path`.

    Args:
        model: what was fitted.
        centre: mean of each input over the training data, shape (inputs,).
        spread: its standard deviation.
        path: where the graph goes.
    """
    basis, count = model.basis, len(centre)
    owners = np.eye(count)[basis.owner] * model.weights[:, None]
    constants: dict[str, NDArray[Any]] = {
        "low": basis.low.astype(np.float32),
        "high": basis.high.astype(np.float32),
        "owner": basis.owner.astype(np.int64),
        "knot": basis.knot.astype(np.float32),
        "is_step": basis.is_step,
        "column_mean": basis.mean.astype(np.float32),
        "column_deviation": basis.deviation.astype(np.float32),
        "weights": owners.astype(np.float32),
        "intercept": np.array([model.baseline], np.float32),
        "centre": centre.astype(np.float32),
        "spread": spread.astype(np.float32),
        "zero": np.zeros(1, np.float32),
        "half": np.array([0.5], np.float32),
        "axes": np.array([1], np.int64),
    }
    graph = helper.make_graph(
        _nodes(),
        "additive",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", count])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info("contributions", TensorProto.FLOAT, ["n", count]),
            helper.make_tensor_value_info("baseline", TensorProto.FLOAT, [1]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", count]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    made = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)
    onnx.checker.check_model(made)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(made, str(path))


def _nodes() -> list[onnx.NodeProto]:
    node = helper.make_node
    return [
        node("IsNaN", [INPUT], ["is_missing"]),
        node("Where", ["is_missing", "low", INPUT], ["known"]),
        node("Max", ["known", "low"], ["not_below"]),
        node("Min", ["not_below", "high"], ["held"]),
        node("Gather", ["held", "owner"], ["own"], axis=1),
        node("Gather", ["is_missing", "owner"], ["own_missing"], axis=1),
        node("Sub", ["own", "knot"], ["over"]),
        node("Relu", ["over"], ["ramps"]),
        node("Abs", ["over"], ["apart"]),
        node("Less", ["apart", "half"], ["is_category"]),
        node("Cast", ["is_category"], ["steps"], to=TensorProto.FLOAT),
        node("Where", ["is_step", "steps", "ramps"], ["made"]),
        node("Where", ["own_missing", "column_mean", "made"], ["filled"]),
        node("Sub", ["filled", "column_mean"], ["centred"]),
        node("Div", ["centred", "column_deviation"], ["columns"]),
        node("MatMul", ["columns", "weights"], ["contributions"]),
        node("ReduceSum", ["contributions", "axes"], ["added"], keepdims=1),
        node("Add", ["added", "intercept"], ["logits"]),
        node("Identity", ["intercept"], ["baseline"]),
        node("Sub", [INPUT, "centre"], ["from_centre"]),
        node("Div", ["from_centre", "spread"], ["in_deviations"]),
        node("Where", ["is_missing", "zero", "in_deviations"], ["embedding"]),
    ]


def run_graph(path: Path, values: Floats) -> dict[str, NDArray[np.float32]]:
    """Return every output of the graph at `path` for inputs of shape (n, inputs)."""
    session = open_session(path, 1)
    found = session.run(list(OUTPUTS), {INPUT: values.astype(np.float32)})
    return dict(zip(OUTPUTS, found, strict=True))


def check_parity(
    model: AdditiveModel, path: Path, values: Floats, tolerance: TableTolerance
) -> TableParity:
    """Compare the graph at `path` with `model` on real inputs, shape (n, inputs).

    Raises:
        ExportRefusedError: an output differs by more than its tolerance; the file is removed.
    """
    found = run_graph(path, values)
    logits = np.abs(found["logits"][:, 0] - model.log_odds(values)).max()
    contributions = np.abs(found["contributions"] - model.contributions(values)).max()
    parity = TableParity(float(logits), float(contributions), len(values))
    for name in ("logits", "contributions"):
        difference, allowed = getattr(parity, name), getattr(tolerance, f"{name}_tolerance")
        if not difference <= allowed:
            path.unlink()
            raise ExportRefusedError(
                f"{name} of the exported graph differ by {difference:.3g} on {len(values)} people; "
                f"at most {allowed:g} is accepted. The graph was not kept."
            )
    return parity


def parity_facts(parity: TableParity) -> dict[str, float | int]:
    """Return `parity` for the evaluation file."""
    return asdict(parity)
