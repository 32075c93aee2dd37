"""Real and deliberately broken objects, held against pydicom's own processing of them."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from models.errors import InputError, UnreadableImageError
from models.radiograph import AgeSource
from serving.imaging import read_radiograph
from tests.dicom_samples import PYDICOM_DATA_FILES, PYDICOM_FILES

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom")
"""pydicom, which is the yardstick here, warns of the broken files; what is tested must not."""

EVERY_FILE = sorted(
    path
    for folder in (PYDICOM_FILES, PYDICOM_DATA_FILES)
    for path in folder.rglob("*")
    if path.is_file() and path.suffix not in {".py", ".pyc"}
)
WINDOWED = (
    "693_J2KR.dcm",
    "693_UNCI.dcm",
    "JPGLosslessP14SV1_1s_1f_8b.dcm",
    "MR-SIEMENS-DICOM-WithOverlays.dcm",
    "MR2_J2KI.dcm",
    "MR2_UNCR.dcm",
    "RG1_J2KR.dcm",
    "RG1_UNCI.dcm",
    "RG3_J2KI.dcm",
    "RG3_UNCR.dcm",
    "bad_sequence.dcm",
    "vlut_04.dcm",
    "J2K_pixelrep_mismatch.dcm",
    "MR_small_RLE.dcm",
    "MR_small_expb.dcm",
    "MR_small_implicit.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
)
"""Grayscale images with a window or VOI LUT, one or more of each way to store them."""
SAME_IMAGES = (
    ("RG1_UNCR.dcm", "RG1_J2KR.dcm"),
    ("RG3_UNCR.dcm", "RG3_J2KR.dcm"),
    ("MR_small.dcm", "MR_small_jpeg_ls_lossless.dcm"),
    ("MR_small.dcm", "MR_small_bigendian.dcm"),
    ("SC_rgb.dcm", "SC_rgb_rle.dcm"),
    ("SC_rgb_16bit.dcm", "SC_rgb_rle_16bit.dcm"),
    ("SC_rgb_16bit.dcm", "SC_rgb_expb_16bit.dcm"),
    ("SC_rgb_small_odd.dcm", "SC_rgb_small_odd_big_endian.dcm"),
    ("OBXXXX1A.dcm", "OBXXXX1A_expb.dcm"),
    ("OBXXXX1A.dcm", "OBXXXX1A_rle_2frame.dcm"),
    ("emri_small.dcm", "emri_small_jpeg_2k_lossless.dcm"),
    ("emri_small.dcm", "emri_small_RLE.dcm"),
)
"""Pairs of files that hold the same pixels in different encodings."""


def _path(name: str) -> Path:
    return next(path for path in EVERY_FILE if path.name == name)


def _read(name: str, **options: Any) -> np.ndarray:
    return read_radiograph(_path(name).read_bytes(), **options).pixels.astype(float)


def _shown_by_pydicom(path: Path) -> np.ndarray:
    """Grey levels 0 to 255 by pydicom's decoders and its modality and VOI functions."""
    dataset = pydicom.dcmread(path)
    modality = apply_modality_lut(dataset.pixel_array, dataset)
    shown = apply_voi_lut(modality, dataset, index=0, prefer_lut=True).astype(float)
    if "VOILUTSequence" in dataset:
        low, high = 0.0, 2.0 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1
    else:
        low = -(2.0 ** (dataset.BitsStored - 1)) if dataset.PixelRepresentation else 0.0
        high = low + 2.0**dataset.BitsStored - 1
        slope, intercept = dataset.get("RescaleSlope", 1), dataset.get("RescaleIntercept", 0)
        low, high = low * float(slope) + float(intercept), high * float(slope) + float(intercept)
    grey: np.ndarray = (shown - low) / (high - low) * 255
    return 255 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey


@pytest.mark.parametrize("name", WINDOWED)
def test_grey_levels_agree_with_those_of_pydicom(name: str) -> None:
    difference = _read(name, full_resolution=True) - _shown_by_pydicom(_path(name))

    assert np.abs(difference).max() <= 1.01


@pytest.mark.parametrize(("one", "other"), SAME_IMAGES)
def test_encodings_of_one_image_agree(one: str, other: str) -> None:
    difference = _read(one, full_resolution=True) - _read(other, full_resolution=True)

    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    "name", ["RG1_UNCR.dcm", "RG1_J2KR.dcm", "RG1_J2KI.dcm", "RG3_UNCR.dcm", "RG3_J2KR.dcm"]
)
def test_reduced_radiograph_is_the_mean_of_the_full_one(name: str) -> None:
    full, reduced = _read(name, full_resolution=True), _read(name)

    factor = round(full.shape[0] / reduced.shape[0])
    assert factor >= 2
    rows, columns = full.shape[0] // factor, full.shape[1] // factor
    blocks = full[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    difference = reduced[:rows, :columns] - blocks.mean(axis=(1, 3))
    assert np.abs(difference).mean() < 0.6
    assert np.abs(np.mean(difference)) < 0.05


def test_facts_of_the_adult_chest() -> None:
    radiograph = read_radiograph(_path("RG1_J2KR.dcm").read_bytes())

    facts = radiograph.facts
    assert (radiograph.rows, radiograph.columns) == (1955, 1841)
    assert min(radiograph.pixels.shape) >= 2 * 224
    assert (facts.modality, facts.body_part, facts.view_position) == ("CR", "CHEST", "PA")
    assert facts.age_years == pytest.approx(64.5, abs=0.1)
    assert facts.age_source is AgeSource.BIRTH_AND_STUDY_DATE
    assert facts.photometric_interpretation == "MONOCHROME1"
    assert facts.bits_stored == 15
    assert [remark.en for remark in facts.remarks] == [
        "Pixel Spacing (0028,0030) is not a positive length; sizes in mm are unknown."
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("DICOMDIR", "neither SOP Class UID"),
        ("rtplan.dcm", r"no Pixel Data \(7FE0,0010\)"),
        ("waveform_ecg.dcm", r"no Pixel Data \(7FE0,0010\)"),
        ("MR_truncated.dcm", "holds 8130 bytes, one frame needs 8192"),
        ("JPGExtended.dcm", "12 bits a sample; lossy JPEG is read with 8"),
        ("liver_1frame.dcm", r"Bits Allocated \(0028,0100\) is 1"),
        ("README.txt", "expected a DICOM, PNG or JPEG"),
    ],
)
def test_what_is_not_a_radiograph_is_refused_with_the_reason(name: str, message: str) -> None:
    with pytest.raises(UnreadableImageError, match=message):
        read_radiograph(_path(name).read_bytes())


@pytest.mark.parametrize("path", EVERY_FILE, ids=lambda path: str(path.name))
@pytest.mark.filterwarnings("error")
def test_every_file_is_read_or_refused_without_a_word_of_its_patient(path: Path) -> None:
    data = path.read_bytes()
    try:
        told = str(read_radiograph(data).facts)
    except InputError as error:
        told = str(error)

    for name in _names_in(data):
        assert name not in told


def _names_in(data: bytes) -> list[str]:
    """Family names of the patients in a file, taken from its raw bytes in explicit VR."""
    found = re.findall(rb"\x10\x00\x10\x00PN..([A-Za-z]{4,})\^", data)
    return [name.decode() for name in found]
