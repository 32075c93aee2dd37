"""The network of a package, run by ONNX Runtime."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.errors import PackageInvalidError
from models.package import ModelPackage
from serving.precision import Precision

_INPUT = "image"
_OUTPUTS = ("logits", "activation_map", "embedding")


@dataclass(frozen=True, slots=True)
class NetworkOutput:
    """What the network says of one image."""

    logits: NDArray[np.float32]
    """Shape (labels,)."""
    activation_maps: NDArray[np.float32]
    """Shape (labels, rows, columns): what each place adds to the label's logit."""
    embedding: NDArray[np.float32]
    """Shape (embedding,)."""


class Network:
    """One ONNX Runtime session; `run` may be called from several threads at once.

    Each call computes on one thread: two images on two cores take less than half the time that
    two cores need for them one after the other, or as a batch, because a small network's layers
    do not divide well (measured: 5.6 ms of processor time an image on one thread, 7 to 12 ms on
    two threads or in batches of 8 and 16). The pool of callers is what uses the cores.

    Raises:
        PackageInvalidError: the graph cannot be run, or does not answer as the contract says.
    """

    def __init__(self, package: ModelPackage, precision: Precision = Precision.FP32) -> None:
        self._session = _session(package, _graph(package, precision))
        self._check_graph(package)
        self._warm_up(package)

    def run(self, image: NDArray[np.float32]) -> NetworkOutput:
        """Run the network on one prepared `image` of shape (channels, side_px, side_px)."""
        logits, maps, embedding = self._session.run(list(_OUTPUTS), {_INPUT: image[np.newaxis]})
        return NetworkOutput(logits[0], maps[0], embedding[0])

    def _check_graph(self, package: ModelPackage) -> None:
        inputs = [entry.name for entry in self._session.get_inputs()]
        outputs = {entry.name for entry in self._session.get_outputs()}
        if inputs != [_INPUT] or not outputs.issuperset(_OUTPUTS):
            raise PackageInvalidError(
                f"{package.reference_to.name}: the graph has inputs {inputs} and outputs "
                f"{sorted(outputs)}; expected {_INPUT!r} and {', '.join(_OUTPUTS)}. "
                "Use a package made for this version."
            )

    def _warm_up(self, package: ModelPackage) -> None:
        """Run once, for the first run allocates and no request should wait for that."""
        side = package.input_spec.side_px
        try:
            output = self.run(np.zeros((package.input_spec.channels, side, side), np.float32))
        except Exception as error:
            raise _cannot_be_run(package) from error
        labels = len(package.labels)
        maps, embedding = output.activation_maps.shape, output.embedding.shape
        fits = output.logits.shape == (labels,) and len(maps) == 3 and maps[0] == labels
        if not fits or embedding != package.reference.mean.shape:
            raise PackageInvalidError(
                f"{package.reference_to.name}: the graph answers with logits of shape "
                f"{output.logits.shape}, maps of {maps} and an embedding of {embedding}; expected "
                f"({labels},), ({labels}, rows, columns) and {package.reference.mean.shape}, as "
                "the labels and reference.npz say. Build the package anew."
            )


def _session(package: ModelPackage, graph: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # Left alone, ONNX Runtime takes as many threads as the host has cores, even where the
    # process may use only some of them.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    try:
        return ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    # The exceptions of ONNX Runtime have no base of their own.
    except Exception as error:
        raise _cannot_be_run(package) from error


def _cannot_be_run(package: ModelPackage) -> PackageInvalidError:
    return PackageInvalidError(
        f"{package.reference_to.name} {package.reference_to.version}: ONNX Runtime "
        f"{ort.__version__} cannot run the graph; expected a graph made for this version. Build "
        "the package anew."
    )


def _graph(package: ModelPackage, precision: Precision) -> Path:
    if precision is Precision.FP32:
        return package.onnx_path
    if package.onnx_int8_path is None:
        raise PackageInvalidError(
            f"{package.reference_to.name} {package.reference_to.version} has no INT8 graph; "
            "set ZHUZHEN_PRECISION=fp32 or use a package that has one."
        )
    return package.onnx_int8_path
