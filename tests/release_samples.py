"""Registered versions of a tiny model, with locked sets as good as a test wants them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from datasets.manifest import Manifest, Sample
from models.package import CARD, EVALUATION, METADATA, ONNX, ONNX_INT8, seal
from tests.package_samples import NAME, tiny_graph, write_json, write_tiny_package
from training.locked_set import LockedSet, locked_set, write_locked_set
from training.registry import LOCKED_SET, PACKAGE
from training.tracking import Tracker

SAMPLES = 300
EVALUATED: dict[str, Any] = {
    "export": {
        "largest_differences": {"logits": 1e-6, "images": 6},
        "tolerances": {"logits_tolerance": 1e-4},
    },
    "int8": {"accepted": True, "reason": "", "changed_decisions": 0.0},
}
CARD_TEXT = """# tiny

Not cleared as a medical device. 未经医疗器械注册审批。

## Intended use
## Performance
## Data
## Limits
"""


def test_part() -> Manifest:
    """Return a test part of two sites and two subtypes, two images of each patient."""
    samples = []
    for number in range(SAMPLES):
        ill = number % 2 == 0
        samples.append(
            Sample(
                f"{number}.png",
                f"P{number // 4}",
                ("pneumonia",) if ill else (),
                ("virus", "bacteria")[number // 2 % 2] if ill else "normal",
                f"{number:064x}",
                site=("clinic", "hospital")[number // 3 % 2],
                sex="FM"[number // 5 % 2],
                age_years=2.0 + number % 40,
            )
        )
    return Manifest("source", ("pneumonia",), Path(), tuple(samples))


test_part.__test__ = False  # type: ignore[attr-defined]


def made_up_locked_set(noise: float, seed: int = 1) -> LockedSet:
    """Return calibrated probabilities that are the further from the truth the more `noise`."""
    part = test_part()
    truth = part.targets().astype(np.bool_)
    rng = np.random.default_rng(seed)
    # Of two normal distributions `2 / noise` apart, the log odds of the class are known exactly.
    apart = 2 / noise
    score = truth[:, 0] * apart + rng.normal(size=len(part))
    probability = 1 / (1 + np.exp(-apart * (score - apart / 2)))
    return locked_set(part, truth, probability[:, None], (0.5,), "sha256:split")


def register_version(
    home: Path,
    version: str,
    kept: LockedSet,
    evaluation: dict[str, Any] = EVALUATED,
    card: str = CARD_TEXT,
) -> str:
    """Register a complete version of the tiny model and return its digest."""
    work = home.parent / f"work-{version}"
    root = write_tiny_package(work / "package")
    metadata = json.loads((root / METADATA).read_text("utf-8"))
    metadata["version"] = version
    metadata["zhuzhen"]["files"]["int8"] = ONNX_INT8
    write_json(root / METADATA, metadata)
    write_json(root / EVALUATION, evaluation)
    tiny_graph(root / ONNX)
    tiny_graph(root / ONNX_INT8)
    (root / CARD).write_text(card, encoding="utf-8")
    digest = seal(root)
    tracker = Tracker(home, work / "run", f"{NAME} {version}")
    tracker.files(root, PACKAGE)
    write_locked_set(kept, work / LOCKED_SET)
    tracker.files(work / LOCKED_SET, LOCKED_SET)
    tracker.register(NAME, digest, version)
    tracker.finish(succeeded=True)
    return digest


def without(kept: LockedSet, samples: int) -> LockedSet:
    """Return `kept` with the first samples under digests of other ones."""
    renamed = kept.samples.copy()
    renamed[:samples] = [f"other{number}" for number in range(samples)]
    return replace(kept, samples=renamed)
