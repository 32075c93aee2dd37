"""The bodies that are posted.

The radiographs of `pydicom-data` are of an adult and a leg, which the service refuses before its
network runs. So a radiograph of the same size is made from an example of a child.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from models.preprocessing import resize

PERSON = {
    "age_years": 60,
    "sex": "male",
    "sbp_mmhg": 145,
    "total_cholesterol_mmol_l": {"value": 201, "unit": "mg/dL"},
    "hdl_cholesterol_mmol_l": 1.1,
    "waist_cm": 92,
    "current_smoker": True,
    "diabetes": False,
    "antihypertensive_treatment": True,
    "region_of_china": "north",
    "residence": "rural",
    "family_history_ascvd": False,
}
"""Whom a risk is asked of, with one value in another unit."""
EXAMPLES = Path(__file__).parents[1] / "examples"
ROWS, COLUMNS, BITS = 1955, 1841, 15
"""Of RG1 in `pydicom-data`, a chest radiograph as a CR reader writes it."""
_NOISE_COUNTS = 110.0
"""Standard deviation of the noise that is added, in stored values. An enlarged photograph is too
smooth: with this, JPEG 2000 needs as many bytes for it as for RG1 (4.3 MB), and as long."""
_JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True)
class Body:
    """What is posted."""

    name: str
    content_type: str
    file: Path
    data: bytes


@dataclass(frozen=True, slots=True)
class Bodies:
    """The same radiograph of a child in the forms that are measured."""

    uncompressed: Body
    """DICOM CR, 1955 x 1841, 15 bits, Explicit VR Little Endian."""
    jpeg2000: Body
    """The same, JPEG 2000 lossless with five decompositions."""
    jpeg: Body
    """As a JPEG of the network's own size."""
    example: Body
    """As it lies under `examples/`."""


def examples() -> tuple[Path, ...]:
    """Return the example radiographs.

    Raises:
        FileNotFoundError: there are none.
    """
    found = tuple(sorted(EXAMPLES.glob("*.dcm")))
    if not found:
        raise FileNotFoundError("There is no radiograph under examples/; check out the project.")
    return found


def make_bodies(folder: Path, side_px: int) -> Bodies:
    """Make the bodies of the last example, writing them into `folder` for the client process."""
    source = examples()[-1]
    dataset = pydicom.dcmread(source)
    grey = _grey_levels(dataset)
    enlarged = enlarge(grey, ROWS, COLUMNS)
    return Bodies(
        uncompressed=_body(folder, "uncompressed DICOM", as_radiograph(dataset, enlarged)),
        jpeg2000=_body(folder, "JPEG 2000 DICOM", as_radiograph(dataset, enlarged, lossless=True)),
        jpeg=_body(folder, f"JPEG of {side_px} x {side_px}", _jpeg(grey, side_px), "image/jpeg"),
        example=_body(folder, "example DICOM", source.read_bytes()),
    )


def enlarge(grey: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint16]:
    """Return `grey` as `rows` x `columns` stored values of 15 bits, with a detector's noise."""
    image = Image.fromarray(grey).convert("F")
    image = image.resize((columns, rows), Image.Resampling.BICUBIC)
    top = 2**BITS - 1
    values = np.asarray(image) * (top / 255.0)
    values = values + np.random.default_rng(0).normal(0.0, _NOISE_COUNTS, values.shape)
    stored: NDArray[np.uint16] = np.clip(np.rint(values), 0, top).astype(np.uint16)
    return stored


def as_radiograph(
    template: Dataset, stored: NDArray[np.uint16], *, lossless: bool = False
) -> bytes:
    """Return a DICOM file with the header of `template` and the pixels `stored`.

    `lossless` compresses it as JPEG 2000 lossless.
    """
    dataset = Dataset()
    dataset.update({element.tag: element for element in template if element.keyword != "PixelData"})
    dataset.file_meta = template.file_meta
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, BITS, BITS - 1
    dataset.WindowCenter, dataset.WindowWidth = 2 ** (BITS - 1), 2**BITS
    dataset.PixelData = stored.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    if lossless:
        dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def adult_radiograph(*, compressed: bool) -> bytes:
    """Return RG1 of `pydicom-data`, uncompressed or as JPEG 2000 lossless."""
    name = "RG1_J2KR.dcm" if compressed else "RG1_UNCR.dcm"
    return Path(str(get_testdata_file(name, download=False))).read_bytes()


def _grey_levels(dataset: Dataset) -> NDArray[np.uint8]:
    pixels = dataset.pixel_array
    if pixels.dtype != np.uint8 or dataset.PhotometricInterpretation != "MONOCHROME2":
        raise ValueError("The example must be MONOCHROME2 with 8 bits; choose another.")
    return np.asarray(pixels)


def _jpeg(grey: NDArray[np.uint8], side_px: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(resize(grey, side_px)).save(stream, "JPEG", quality=_JPEG_QUALITY)
    return stream.getvalue()


def _body(folder: Path, name: str, data: bytes, content_type: str = "application/dicom") -> Body:
    file = folder / name.replace(" ", "-")
    file.write_bytes(data)
    return Body(name, content_type, file, data)
