"""Starts the FastAPI peer with as many workers as wanted.

A program of its own because uvicorn's workers import the application by name; what the command
line says reaches them through the environment.
"""

import os

import uvicorn

from benchmarks.peers.command_line import peer_arguments


def main() -> None:
    """Serve until stopped."""
    arguments = peer_arguments()
    os.environ["PEER_ONNX"] = str(arguments.onnx)
    os.environ["PEER_SIDE_PX"] = str(arguments.side_px)
    uvicorn.run(
        "benchmarks.peers.fastapi_onnxruntime:app",
        host="127.0.0.1",
        port=arguments.port,
        workers=arguments.workers,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
