"""A chest radiograph that is turned, upside down or inverted is refused, and says why."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from models import store
from models.findings import Verdict
from models.preprocessing import resize
from serving.recognition import Recognizer

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.dcm"))
MODEL = "chest-xray-pneumonia"
PER_CLASS = 10
SIDE_PX = 448
"""Examples are made this small first: decoding them is tested elsewhere."""
FOLDER = Path(os.environ.get("ZHUZHEN_DATA", "")) / "chest_xray_kermany"

Grey = NDArray[np.uint8]
WRONG: dict[str, tuple[Callable[[Grey], Grey], list[str]]] = {
    "inverted": (lambda image: 255 - image, ["grey_levels"]),
    "upside down": (np.flipud, ["orientation"]),
    "on its head": (lambda image: np.rot90(image, 2), ["orientation"]),
    "to the left": (lambda image: np.rot90(image, 1), ["orientation"]),
    "to the right": (lambda image: np.rot90(image, -1), ["orientation"]),
    "both": (lambda image: 255 - np.rot90(image, 2), ["grey_levels", "orientation"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(store.load(MODEL))


def png(pixels: Grey) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG")
    return stream.getvalue()


def told(recognizer: Recognizer, data: bytes) -> tuple[Verdict, list[str]]:
    """Return the verdict, and what the picture itself broke."""
    pre_read = recognizer.read(data).pre_read
    assert bool(pre_read.findings) == (pre_read.verdict is Verdict.ACCEPTED)
    rules = [each.rule for each in pre_read.reasons if each.rule in ("grey_levels", "orientation")]
    return pre_read.verdict, rules


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda path: path.stem)
def pixels(request: pytest.FixtureRequest) -> Grey:
    stored = dcmread(request.param).pixel_array
    assert stored.dtype == np.uint8
    return resize(stored, SIDE_PX)


def test_rightly_presented_radiograph_is_accepted(recognizer: Recognizer, pixels: Grey) -> None:
    assert told(recognizer, png(pixels)) == (Verdict.ACCEPTED, [])


@pytest.mark.parametrize("change", WRONG)
def test_wrongly_presented_radiograph_is_refused_with_the_reason(
    recognizer: Recognizer, pixels: Grey, change: str
) -> None:
    present, rules = WRONG[change]
    assert told(recognizer, png(present(pixels))) == (Verdict.OUT_OF_DISTRIBUTION, rules)


def relabelled(path: Path) -> bytes:
    """Return an example whose header says that the lowest value is white, which it is not."""
    dataset: Dataset = dcmread(path)
    dataset.PhotometricInterpretation = "MONOCHROME1"
    if "PresentationLUTShape" in dataset:
        dataset.PresentationLUTShape = "INVERSE"
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def test_header_with_the_wrong_photometric_interpretation_is_found(recognizer: Recognizer) -> None:
    pre_read = recognizer.read(relabelled(EXAMPLES[0])).pre_read
    assert pre_read.verdict is Verdict.OUT_OF_DISTRIBUTION
    (reason,) = (each for each in pre_read.reasons if each.rule == "grey_levels")
    assert "Photometric Interpretation (0028,0004)" in reason.message.en
    assert "灰度已被反转" in reason.message.zh


@pytest.mark.data
@pytest.mark.skipif(not FOLDER.is_dir(), reason="chest_xray_kermany is not under ZHUZHEN_DATA")
def test_real_radiographs_raise_no_false_alarm(recognizer: Recognizer) -> None:
    false_alarms, missed = [], []
    for name in ("NORMAL", "PNEUMONIA"):
        paths = sorted((FOLDER / "train" / name).glob("*.jpeg"))
        for path in paths[:: len(paths) // PER_CLASS][:PER_CLASS]:
            pixels = np.asarray(Image.open(path).convert("L"))
            if told(recognizer, png(pixels))[1]:
                false_alarms.append(path.name)
            if "grey_levels" not in told(recognizer, png(255 - pixels))[1]:
                missed.append(path.name)
    assert (false_alarms, missed) == ([], [])
