"""Made-up radiographs in the folder layout of `chest_xray_kermany`, so that no data are needed."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NAME = "chest_xray_kermany"
COLUMNS = ("path", "label", "subtype", "patient_key")
SIDE_PX = 64


def made_up_radiograph(seed: int, opacity: bool, side_px: int = SIDE_PX) -> NDArray[np.uint8]:
    """Return two dark fields on a bright body; an opacity is a bright cloud in one of them.

    The place and size of everything differs with `seed`, so no two are near-duplicates.
    """
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[0:side_px, 0:side_px] / side_px
    grey = 150 + 40 * np.cos((column - 0.5) * rng.uniform(2, 4) + rng.uniform(-1, 1))
    grey += 25 * np.sin(row * rng.uniform(3, 9) + rng.uniform(0, 6))
    grey += 25 * np.sin(column * rng.uniform(4, 12) + row * rng.uniform(-6, 6) + rng.uniform(0, 6))
    for side in (0.3, 0.7):
        middle = side + rng.uniform(-0.04, 0.04)
        lung = ((column - middle) / 0.14) ** 2 + ((row - 0.5) / rng.uniform(0.28, 0.36)) ** 2
        grey -= 100 * np.exp(-(lung**2))
    if opacity:
        place = rng.choice([0.3, 0.7]), rng.uniform(0.4, 0.6)
        cloud = ((column - place[0]) ** 2 + (row - place[1]) ** 2) / 0.02
        grey += 110 * np.exp(-cloud)
    grey += rng.normal(0, 4, grey.shape)
    image: NDArray[np.uint8] = np.clip(grey, 0, 255).astype(np.uint8)
    return image


def write_index(
    data: Path, rows: Iterable[Iterable[str]], columns: Iterable[str] = COLUMNS
) -> None:
    """Write `index.csv` of the data set under `data`."""
    with (data / NAME / "index.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)


def write_kermany(data: Path, patients: int, side_px: int = SIDE_PX) -> Path:
    """Write a data set of so many patients of each class, every third with two images."""
    rows = []
    seed = 0
    for label, prefix in (("NORMAL", "N"), ("PNEUMONIA", "P")):
        folder = data / NAME / "train" / label
        folder.mkdir(parents=True)
        for patient in range(patients):
            for picture in range(2 if patient % 3 == 0 else 1):
                seed += 1
                name = f"{prefix}{patient:03}-{picture}.jpeg"
                image = made_up_radiograph(seed, label == "PNEUMONIA", side_px)
                Image.fromarray(image).save(folder / name, quality=95)
                pathogen = "bacteria" if patient % 2 else "virus"
                subtype = "normal" if label == "NORMAL" else pathogen
                rows.append((f"train/{label}/{name}", label, subtype, f"{prefix}-{patient:03}"))
    write_index(data, rows)
    return data
