"""FastAPI, pydicom, MONAI transforms and the network in PyTorch, eager.

The network has the architecture of the released graph, mirror average and embedding included, and
the weights that its training starts from: the trained ones would take as long.
"""

from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, Request
from monai.transforms import Compose, EnsureChannelFirst, NormalizeIntensity, Resize
from starlette.concurrency import run_in_threadpool

from benchmarks.peers.command_line import peer_arguments
from benchmarks.peers.straightforward import displayed, probability
from training.config import load_config
from training.networks import pretrained
from training.released_graph import ReleasedGraph


class Reader:
    """The network and what it wants to see."""

    def __init__(self, model: str, side_px: int) -> None:
        config = load_config(model)
        labels, field = len(config.package.labels), config.lungs.field
        networks = [pretrained(labels, 0.0, 0.0, field=field) for _ in range(config.members.count)]
        self._network = ReleasedGraph(networks, config.graph).eval()
        self._transforms = Compose(
            [
                EnsureChannelFirst(channel_dim="no_channel"),
                Resize((side_px, side_px), mode="bilinear", anti_aliasing=True),
                NormalizeIntensity(),
            ]
        )

    def read(self, data: bytes) -> dict[str, float]:
        """Return the probability for the DICOM file in `data`."""
        image: Any = self._transforms(displayed(data).astype("float32"))
        with torch.inference_mode():
            logits, _, _ = self._network(torch.as_tensor(image)[None])
        return {"pneumonia": probability(float(logits[0, 0]))}


def application(reader: Reader) -> FastAPI:
    """Return the application around `reader`."""
    app = FastAPI()

    @app.post("/recognize")
    async def recognize(request: Request) -> dict[str, float]:
        return await run_in_threadpool(reader.read, await request.body())

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    return app


def main() -> None:
    """Serve until stopped."""
    arguments = peer_arguments()
    reader = Reader(arguments.model, arguments.side_px)
    uvicorn.run(application(reader), host="127.0.0.1", port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
