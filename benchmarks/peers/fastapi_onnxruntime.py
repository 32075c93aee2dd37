"""FastAPI, pydicom, scikit-image and ONNX Runtime.

The raw body is read and the work is done in Starlette's thread pool: quicker than the file upload
of FastAPI's tutorial, and it keeps the event loop free. ONNX Runtime is left at its defaults.
"""

import os

import onnxruntime as ort
from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool

from benchmarks.peers.straightforward import network_input, probability

app = FastAPI()
session = ort.InferenceSession(os.environ["PEER_ONNX"], providers=["CPUExecutionProvider"])
side_px = int(os.environ["PEER_SIDE_PX"])


def read(data: bytes) -> dict[str, float]:
    """Return the probability for the DICOM file in `data`."""
    (logits,) = session.run(["logits"], {"image": network_input(data, side_px)})
    return {"pneumonia": probability(logits[0, 0])}


@app.post("/recognize")
async def recognize(request: Request) -> dict[str, float]:
    """Answer one DICOM file."""
    return await run_in_threadpool(read, await request.body())


@app.get("/health")
def health() -> dict[str, str]:
    """Say that the service is up."""
    return {"status": "ok"}
