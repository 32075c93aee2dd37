"""What the released chest model sees of images acquired otherwise: the drift trial's input.

    python -m benchmarks.drift_streams FOLDER
    zhuzhen monitor trial MODEL --against FOLDER/unchanged.jsonl FOLDER/darker.jsonl ...

The images of the validation and test part, which the model was not trained on, go through the real
reader as they are (`unchanged.jsonl`, the reference), and those of the test part after each change.
Needs the data sets under `ZHUZHEN_DATA`.
"""

import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.duplicates import difference_hashes
from datasets.images import decoded
from datasets.reading import read
from datasets.splits import Part, split_by_group
from models.observation import line_of
from serving.observations import observed_reading
from serving.shelf import Shelf
from training.config import load_config
from training.scenarios import Change, blurred, field_of_view, gamma, in_turn, keep, sharpened, tone

MODEL = "chest-xray-pneumonia"
CHANGES: Mapping[str, Change] = {
    "unchanged": keep,
    "darker": gamma(1.3),
    "flat": tone(0.8, 110),
    "other-site": in_turn(field_of_view(1.12, 1.12), blurred(0.9)),
    "sharpened": sharpened(1.0, 1.2),
}
"""Exposure, contrast, another room's field of view and detector, another console's processing."""


def main(folder: Path) -> None:
    """Write one file of observations for each change into `folder`."""
    config = load_config(MODEL)
    manifest = read(config.data.description, Path(os.environ["ZHUZHEN_DATA"]))
    pixels = decoded(manifest, 224, folder / "cache")
    fractions, seed = config.split.fractions, config.split.seed
    split = split_by_group(manifest, fractions, seed, difference_hashes(pixels))
    recognizer = Shelf().recognizer(MODEL)
    folder.mkdir(parents=True, exist_ok=True)
    for name, change in CHANGES.items():
        parts = (Part.VALIDATION, Part.TEST) if change is keep else (Part.TEST,)
        chosen = np.concatenate([split.indices(part) for part in parts])
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as stream:
            for at in chosen:
                picture = io.BytesIO()
                Image.fromarray(change(pixels[at])).save(picture, "PNG")
                reading = recognizer.read(picture.getvalue())
                stream.write(line_of(observed_reading(reading, "trial")))
        print(f"{name}: {len(chosen)} readings", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
