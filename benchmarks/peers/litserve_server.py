"""LitServe, pydicom, scikit-image and ONNX Runtime.

LitServe takes JSON or forms; a raw body declared as FastAPI's `Body` saves it base64. The stages
are those of LitServe's own examples; ONNX Runtime is left at its defaults.
"""

from typing import Annotated, Any

import litserve
import numpy as np
import onnxruntime as ort
from fastapi import Body
from numpy.typing import NDArray

from benchmarks.peers.command_line import PeerArguments, peer_arguments
from benchmarks.peers.straightforward import network_input, probability


class Radiographs(litserve.LitAPI):  # type: ignore[misc]  # litserve has no types
    """One DICOM file in, one probability out."""

    def __init__(self, arguments: PeerArguments) -> None:
        super().__init__(api_path="/recognize")
        self._arguments = arguments

    def setup(self, device: str) -> None:
        """Open the network in the worker's process."""
        self._session = ort.InferenceSession(
            str(self._arguments.onnx), providers=["CPUExecutionProvider"]
        )

    def decode_request(
        self, request: Annotated[bytes, Body(media_type="application/octet-stream")]
    ) -> NDArray[np.float32]:
        """Return the network's input."""
        return network_input(request, self._arguments.side_px)

    def predict(self, image: NDArray[np.float32]) -> Any:
        """Return the logits."""
        return self._session.run(["logits"], {"image": image})[0]

    def encode_response(self, logits: Any) -> dict[str, float]:
        """Return the answer."""
        return {"pneumonia": probability(logits[0, 0])}


def main() -> None:
    """Serve until stopped."""
    arguments = peer_arguments()
    server = litserve.LitServer(
        Radiographs(arguments), accelerator="cpu", workers_per_device=arguments.workers
    )
    server.run(
        host="127.0.0.1",
        port=arguments.port,
        generate_client_file=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
