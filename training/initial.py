"""Start a training from the weights of a released package instead of ImageNet's."""

from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import numpy_helper
from torch import Tensor

from models.errors import DataError
from models.package import ModelPackage
from models.store import RELEASED
from training.networks import FEATURES, ImageClassifier

_PREFIX = "members.0."


@dataclass(frozen=True, slots=True)
class InitialConfig:
    """A released package, so that a training can be traced to what it started from."""

    package: str
    version: str
    digest: str
    """`sha256:` and the digest of the package; another one is not trained from."""


def start_from(network: ImageClassifier, initial: InitialConfig) -> None:
    """Give `network` the weights of a released package of one member; a field stays untaught.

    Raises:
        DataError: the package is not the one that is meant, or is of another network.
        PackageTamperedError: one of its files was changed.
    """
    package = ModelPackage.load(RELEASED / initial.package / initial.version)
    if package.reference_to.digest != initial.digest:
        raise DataError(
            f"{initial.package} {initial.version} has the digest {package.reference_to.digest}, "
            f"network.initial names {initial.digest}. Name the digest of what is released."
        )
    stored = {
        entry.name: torch.from_numpy(numpy_helper.to_array(entry).copy())
        for entry in onnx.load(str(package.onnx_path)).graph.initializer
    }
    state = {
        name.removeprefix(_PREFIX): value
        for name, value in stored.items()
        if name.startswith(_PREFIX)
    }
    state |= _last_layer(stored, package)
    without = network.load_state_dict(state, strict=False)
    missing = [name for name in without.missing_keys if not name.startswith("field.")]
    if missing or without.unexpected_keys:
        raise DataError(
            f"The graph of {initial.package} {initial.version} is of another network: "
            f"{', '.join((*missing, *without.unexpected_keys)[:3])} do not fit."
        )


def _last_layer(stored: dict[str, Tensor], package: ModelPackage) -> dict[str, Tensor]:
    """Return weight and bias of the last layer, which the exporter reshapes and renames."""
    shape = (len(package.labels), FEATURES, 1, 1)
    found = [value for value in stored.values() if tuple(value.shape) == shape]
    if len(found) != 1:
        raise DataError(f"{package.reference_to.name} has no single last layer of shape {shape}.")
    spec = package.input_spec
    session = ort.InferenceSession(str(package.onnx_path), providers=["CPUExecutionProvider"])
    image = np.zeros((1, spec.channels, spec.side_px, spec.side_px), np.float32)
    logits, maps = session.run(["logits", "activation_map"], {"image": image})
    # The mean of a map plus the bias is the logit, by the package's contract.
    bias = torch.from_numpy(logits[0] - maps[0].mean(axis=(1, 2)))
    return {"classify.weight": found[0][:, :, 0, 0], "classify.bias": bias}
