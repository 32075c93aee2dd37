"""Decode every image of a manifest once, into one file that later runs map into memory."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.manifest import Manifest
from datasets.pictures import read_colour, read_grey
from models.preprocessing import resize

_LAYOUT = "1"
"""Changes when the cached pixels of an unchanged manifest would change."""


def decoded(manifest: Manifest, side_px: int, cache: Path, channels: int = 1) -> NDArray[np.uint8]:
    """Return all images, mapped from `cache`, with 1 channel of grey levels or 3 of colours.

    Their shape is (samples, side_px, side_px), or (samples, side_px, side_px, 3).

    The file's name holds the manifest's digest, so a changed manifest never meets old pixels; it
    is written beside its place and moved there whole.

    Raises:
        DataError: a file is not an image; the message names it.
    """
    order = "\n".join(sample.sample_id for sample in manifest)
    key = hashlib.sha256(f"{_LAYOUT} {manifest.digest} {side_px} {order}".encode()).hexdigest()
    colours = "-rgb" if channels == 3 else ""
    path = cache / f"{manifest.source}-{side_px}px{colours}-{key[:16]}.npy"
    if not path.exists():
        _write(manifest, side_px, path, channels)
    pixels: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    return pixels


def _write(manifest: Manifest, side_px: int, path: Path, channels: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    shape = (len(manifest), side_px, side_px) + ((channels,) if channels > 1 else ())
    read = read_grey if channels == 1 else read_colour
    pixels = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
    for index, sample in enumerate(manifest):
        pixels[index] = resize(read(manifest.path_of(sample), sample.sample_id), side_px)
    pixels.flush()
    del pixels
    part.rename(path)
