"""The arguments that every peer takes."""

import argparse
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PeerArguments:
    """What a peer is told."""

    port: int
    model: str
    """Name of the model whose network is run."""
    onnx: Path
    """Its graph."""
    side_px: int
    """Rows and columns of its input."""
    workers: int
    """Processes that answer."""


def peer_arguments() -> PeerArguments:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--onnx", type=Path, required=True)
    parser.add_argument("--side-px", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    return PeerArguments(**vars(parser.parse_args()))
