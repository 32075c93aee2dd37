"""The example radiographs: what their headers say, and that they are the published images."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import generate_frames
from pydicom.uid import JPEGBaseline8Bit

from examples.make_examples import EXAMPLES, HERE, SOURCE, Example, wrap
from serving.imaging import read_radiograph

BY_NAME = [pytest.param(example, id=example.name) for example in EXAMPLES]


def test_every_file_is_described() -> None:
    page = (HERE / "README.md").read_text(encoding="utf-8")
    assert sorted(path.stem for path in HERE.glob("*.dcm")) == sorted(e.name for e in EXAMPLES)
    for example in EXAMPLES:
        assert f"`{example.name}.dcm` | `{example.published_name}` | {example.known}" in page


@pytest.mark.parametrize("example", BY_NAME)
def test_header_says_what_is_known_and_nothing_else(example: Example) -> None:
    dataset = pydicom.dcmread(HERE / f"{example.name}.dcm")
    assert dataset.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert (dataset.Modality, dataset.BodyPartExamined) == ("CR", "CHEST")
    assert str(dataset.PatientName.alphabetic).startswith("Example^")
    assert str(dataset.PatientName.ideographic).startswith("示例^")
    assert "EXAMPLE" in dataset.PatientID
    assert "PatientAge" not in dataset
    assert not dataset.PatientBirthDate
    assert not dataset.StudyDate
    assert dataset.ViewPosition == ("AP" if "pneumonia" in example.name else "")


@pytest.mark.parametrize("example", BY_NAME)
def test_is_read_as_the_image_inside(example: Example) -> None:
    data = (HERE / f"{example.name}.dcm").read_bytes()
    dataset = pydicom.dcmread(BytesIO(data))
    (jpeg,) = generate_frames(dataset.PixelData, number_of_frames=1)
    with Image.open(BytesIO(jpeg)) as image:
        expected = np.asarray(image)
    radiograph = read_radiograph(data, full_resolution=True)
    assert (radiograph.rows, radiograph.columns) == expected.shape
    assert np.array_equal(radiograph.pixels, expected)
    assert radiograph.facts.remarks == ()


def test_identifiers_differ_and_are_valid() -> None:
    datasets = [pydicom.dcmread(path, stop_before_pixels=True) for path in HERE.glob("*.dcm")]
    uids = [
        uid for d in datasets for uid in (d.StudyInstanceUID, d.SeriesInstanceUID, d.SOPInstanceUID)
    ]
    assert len(set(uids)) == 3 * len(EXAMPLES)
    assert all(uid.is_valid and uid.startswith("2.25.") for uid in uids)


@pytest.mark.data
@pytest.mark.parametrize("example", BY_NAME)
def test_committed_file_is_what_the_script_makes(example: Example, tmp_path: Path) -> None:
    if "ZHUZHEN_DATA" not in os.environ:
        pytest.skip("ZHUZHEN_DATA is not set: the published images are not here")
    jpeg = Path(os.environ["ZHUZHEN_DATA"]) / SOURCE / example.published_name
    if not jpeg.is_file():
        pytest.skip(f"{SOURCE} is not under ZHUZHEN_DATA")
    made = tmp_path / "made.dcm"
    wrap(example, jpeg).save_as(made, enforce_file_format=True)
    assert made.read_bytes() == (HERE / f"{example.name}.dcm").read_bytes()
    (frame,) = generate_frames(pydicom.dcmread(made).PixelData, number_of_frames=1)
    # A frame has an even number of bytes (PS3.5 A.4).
    assert frame.removesuffix(b"\0") == jpeg.read_bytes().removesuffix(b"\0")
