"""Run a released graph on images as serving does: ONNX Runtime after `models.preprocessing`."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.preprocessing import InputSpec, prepare
from training.export import INPUT, open_session
from training.released_graph import MEMBER_LOGITS, OUTPUTS

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
    member_logits: NDArray[np.float32] | None = None
    """What each member says, shape (n, members, labels); of members that are cross-fitted."""

    def held_out(self, folds: NDArray[np.intp]) -> "Outputs":
        """Return these with the logits of the one member that has not learnt from each image.

        `folds` is each image's own member, shape (n,).
        """
        if self.member_logits is None:
            raise ValueError("The graph does not tell its members apart.")
        own = self.member_logits[np.arange(len(folds)), folds]
        return replace(self, logits=own)


class GraphRunner:
    """An open graph with the preprocessing that belongs to it."""

    def __init__(self, path: Path, spec: InputSpec, threads: int) -> None:
        self.spec = spec
        self._session = open_session(path, threads)
        found = {output.name for output in self._session.get_outputs()}
        self._outputs = [*OUTPUTS, *({MEMBER_LOGITS} & found)]

    def on_images(self, images: Iterable[NDArray[np.uint8]]) -> Outputs:
        """Return the outputs for displayed images of any size, each (rows, columns)."""
        return self.on_inputs(np.stack([prepare(image, self.spec) for image in images]))

    def on_inputs(self, inputs: NDArray[np.float32]) -> Outputs:
        """Return the outputs for prepared inputs, shape (n, 1, side, side)."""
        starts = range(0, len(inputs), _BATCH)
        parts = [
            self._session.run(self._outputs, {INPUT: inputs[start : start + _BATCH]})
            for start in starts
        ]
        return Outputs(*(np.concatenate(each) for each in zip(*parts, strict=True)))
