"""Run a released graph on images as serving does: ONNX Runtime after `models.preprocessing`."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.preprocessing import InputSpec, prepare
from training.export import INPUT, open_session
from training.released_graph import OUTPUTS

_BATCH = 32


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the graph says of n images."""

    logits: NDArray[np.float32]
    """Shape (n, labels)."""
    activation_map: NDArray[np.float32]
    """Shape (n, labels, cells, cells)."""
    embedding: NDArray[np.float32]
    """Shape (n, features)."""


class GraphRunner:
    """An open graph with the preprocessing that belongs to it."""

    def __init__(self, path: Path, spec: InputSpec, threads: int) -> None:
        self.spec = spec
        self._session = open_session(path, threads)

    def on_images(self, images: Iterable[NDArray[np.uint8]]) -> Outputs:
        """Return the outputs for displayed images of any size, each (rows, columns)."""
        return self.on_inputs(np.stack([prepare(image, self.spec) for image in images]))

    def on_inputs(self, inputs: NDArray[np.float32]) -> Outputs:
        """Return the outputs for prepared inputs, shape (n, 1, side, side)."""
        starts = range(0, len(inputs), _BATCH)
        parts = [
            self._session.run(list(OUTPUTS), {INPUT: inputs[start : start + _BATCH]})
            for start in starts
        ]
        return Outputs(*(np.concatenate(each) for each in zip(*parts, strict=True)))
