"""Made-up stained tiles with their description and configuration, as an engineer would write."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from tests.toy_packages import toy_package, toy_sheet

SIDE_PX = 48
_DESCRIPTION: dict[str, Any] = {
    "name": "toy_tiles",
    "version": "1.0.0",
    "source": {"kind": "folder_csv", "folder": "toy_tiles", "index": "index.csv"},
    "fields": {"path": "file", "group": "slide", "site": "laboratory"},
    "labels": ["toy_nests"],
    "present": {"column": "seen", "values": {"nests": ["toy_nests"], "nothing": []}},
    "sheet": toy_sheet("Made-up tiles", "虚构图块") | {"kept_together": "slide"},
}
_CONFIGURATION: dict[str, Any] = {
    "name": "toy-tiles",
    "version": "0.1.0",
    "seed": 1,
    "input": {"kind": "tile", "side_px": 64, "intensity": "centred"},
    "data": {"source": "toy_tiles.yaml", "cache_side_px": SIDE_PX},
    "split": {"training": 0.4, "validation": 0.3, "test": 0.3},
    "acquisition": {"measured": False},
    "network": {"frozen_blocks": 8},
    "sampling": {"images_per_epoch": 128, "batch_images": 16},
    "optimisation": {
        "epochs": 2,
        "learning_rate": 1.0e-3,
        "ema_decay": 0.7,
        "precision": "float32",
        "threads": 1,
    },
    "selection": {"criterion": "auc"},
    "graph": {"mirror_average": False, "embedding_blocks": [4]},
    "calibration": {"shift_power": 0.0, "conformal_coverage": 0.8},
    "reference": {"components": 4, "training_images": 48, "augmented_copies": 0},
    "export": {"parity_images": 6},
    "quantisation": {
        "calibration_images": 16,
        "auc_loss": 1.0,
        "accuracy_loss": 1.0,
        "refusal_change": 1.0,
    },
    "evaluation": {"bootstrap_repeats": 50, "robustness_images": 12, "far_images": 1},
    "package": toy_package(
        "toy_nests",
        en="Toy nests",
        zh="虚构细胞巢",
        code={"value": "2", "display": "Nests"},
        rule={"fact": "rows", "minimum": 32, "below": 129},
    ),
}


def made_up_tile(seed: int, nests: bool) -> NDArray[np.uint8]:
    """Return pink tissue with scattered nuclei, shape (SIDE_PX, SIDE_PX, 3); nests crowd them."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    stroma = 12 * np.sin(row * rng.uniform(0.1, 0.3) + column * rng.uniform(-0.3, 0.3))
    tile = np.array([228.0, 172.0, 204.0]) + (stroma + rng.normal(0, 6, row.shape))[..., None]
    middle = rng.uniform(14, SIDE_PX - 14, 2)
    for _ in range(26 if nests else 7):
        place = rng.normal(middle, 7) if nests else rng.uniform(0, SIDE_PX, 2)
        radius = rng.uniform(1.6, 2.6)
        inside = (row - place[0]) ** 2 + (column - place[1]) ** 2 < radius**2
        tile[inside] = np.array([92.0, 52.0, 140.0]) + rng.normal(0, 8, 3)
    image: NDArray[np.uint8] = np.clip(tile, 0, 255).astype(np.uint8)
    return image


def write_toy_tiles(folder: Path, tiles: int = 240) -> Path:
    """Write pictures, index, description and configuration under `folder`.

    Four tiles are of one slide. Returns the configuration.
    """
    pictures = folder / "toy_tiles" / "tiles"
    pictures.mkdir(parents=True)
    rows = []
    for at in range(tiles):
        nests = at % 2 == 0
        name = f"tiles/{at:03}.png"
        Image.fromarray(made_up_tile(at, nests)).save(folder / "toy_tiles" / name)
        laboratory = "north" if at // 4 % 2 else "south"
        rows.append((name, f"slide-{at // 4}", laboratory, "nests" if nests else "nothing"))
    with (folder / "toy_tiles" / "index.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerows([("file", "slide", "laboratory", "seen"), *rows])
    _write(folder / "toy_tiles.yaml", _DESCRIPTION)
    return _write(folder / "toy-tiles.yaml", _CONFIGURATION)


def _write(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path
