"""From PyTorch to ONNX, with the parity gate.

`torch.onnx.export(dynamo=True)` has emitted graphs that run and answer wrongly (PyTorch issue
166797), so no graph leaves here that was not compared with PyTorch on real inputs.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from models.errors import ZhuzhenError
from training.released_graph import MEMBER_LOGITS, OUTPUTS, ReleasedGraph

OPSET = 18
"""ONNX operator set of released graphs: the exporter's own, so that nothing is converted."""
INPUT = "image"


class ExportRefusedError(ZhuzhenError):
    """The exported graph does not answer as the trained network does."""


@dataclass(frozen=True, slots=True)
class ExportConfig:
    """How far ONNX Runtime may be from PyTorch, as the largest absolute difference."""

    logits_tolerance: float = 1e-3
    """In logits: well below what moves a probability by 0.001."""
    activation_map_tolerance: float = 1e-2
    embedding_tolerance: float = 1e-3
    parity_images: int = 64
    """Real inputs that are compared."""


@dataclass(frozen=True, slots=True)
class Parity:
    """Largest absolute difference of each output between ONNX Runtime and PyTorch."""

    logits: float
    activation_map: float
    embedding: float
    images: int


def write_onnx(graph: ReleasedGraph, shape: tuple[int, int], path: Path) -> None:
    """Write `graph` to `path` with a dynamic batch and the weights inside the file.

    `shape` holds the channels and the side in pixels of its input.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two images: a batch of one would be taken for a constant.
    example = torch.zeros(2, shape[0], shape[1], shape[1])
    batch = torch.export.Dim("batch", min=1, max=4096)
    with _quiet_exporter():
        program = torch.onnx.export(
            graph.float().eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(graph.outputs),
            dynamic_shapes=({0: batch},),
            verbose=False,
        )
    if program is None:
        raise ExportRefusedError("PyTorch's exporter returned no program; nothing was written.")
    program.save(str(path), external_data=False)
    onnx.checker.check_model(str(path))


def check_parity(
    graph: ReleasedGraph, path: Path, inputs: NDArray[np.float32], config: ExportConfig
) -> Parity:
    """Compare the graph at `path` with PyTorch on `inputs`, shape (n, channels, side, side).

    Both are also run image by image for the first few, since a batch may be treated differently.

    Raises:
        ExportRefusedError: an output differs by more than its tolerance; the file is removed.
    """
    session = open_session(path)
    batches = [inputs, inputs[:1], inputs[1:4]]
    worst = dict.fromkeys(graph.outputs, 0.0)
    for batch in batches:
        with torch.inference_mode():
            expected = [value.numpy() for value in graph.float().eval()(torch.from_numpy(batch))]
        found = session.run(list(graph.outputs), {INPUT: batch})
        for name, left, right in zip(graph.outputs, found, expected, strict=True):
            worst[name] = max(worst[name], _difference(left, right))
    worst["logits"] = max(worst["logits"], worst.pop(MEMBER_LOGITS, 0.0))
    parity = Parity(**worst, images=len(inputs))
    for name in OUTPUTS:
        difference, allowed = getattr(parity, name), getattr(config, f"{name}_tolerance")
        if not difference <= allowed:
            path.unlink()
            raise ExportRefusedError(
                f"{name} of the exported graph differs by {difference:.3g} from PyTorch on "
                f"{len(inputs)} real images; at most {allowed:g} is accepted. The graph was not "
                "kept: try another operator set or torch version."
            )
    return parity


def parity_facts(parity: Parity) -> dict[str, float | int]:
    """Return `parity` for the evaluation file."""
    return asdict(parity)


def open_session(path: Path, threads: int = 2) -> ort.InferenceSession:
    """Open the graph at `path` on the CPU.

    ONNX Runtime would size its pool to the host's cores, not to those it may use.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    if found.shape != expected.shape:
        return float("inf")
    difference = float(np.abs(found - expected).max())
    # Not a number, on either side, agrees with nothing.
    return difference if np.isfinite(difference) else float("inf")


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hold back the exporter's progress lines and its warnings about its own internals."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
