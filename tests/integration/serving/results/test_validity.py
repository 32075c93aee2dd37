"""Independent validators on results of real images, accepted, abstained on and refused."""

import subprocess
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedXAImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    XRayAngiographicImageStorage,
)

from serving.imaging import read_radiograph
from serving.results import ReadImage, ResultKind, ResultObject, UnreferableSourceError, read_source
from tests.dicom_samples import PYDICOM_DATA_FILES, PYDICOM_FILES
from tests.dicom_validators import (
    entity_errors,
    iod_errors,
    needs,
    needs_pixelmed,
    report_text,
    template_errors,
)
from tests.result_samples import (
    NAMES,
    NORMAL,
    PNEUMONIA,
    abstaining,
    read,
    results_on,
    with_header,
)

RG1 = (PYDICOM_DATA_FILES / "RG1_UNCR.dcm").read_bytes()
"""A chest radiograph of an adult, which the model must refuse."""


def write(folder: Path, *results: ResultObject) -> list[Path]:
    paths = []
    for number, result in enumerate(results):
        paths.append(folder / f"{number}-{result.kind}.dcm")
        paths[-1].write_bytes(result.data)
    return paths


def study_of_three() -> list[ReadImage]:
    """One study: a finding with regions, an abstention, and an image that is refused."""
    first = read(PNEUMONIA)
    study = str(first.source.header.StudyInstanceUID)
    second = abstaining(read(with_header(NORMAL, StudyInstanceUID=study)))
    third = read(with_header(RG1, StudyInstanceUID=study))
    return [first, second, third]


@needs("dciodvfy")
@needs("dcentvfy")
@pytest.mark.parametrize("character_set", NAMES)
@pytest.mark.parametrize("source", [PNEUMONIA, RG1], ids=["accepted", "refused"])
def test_every_object_is_valid_whatever_the_senders_characters(
    tmp_path: Path, source: bytes, character_set: str
) -> None:
    sent = with_header(source, SpecificCharacterSet=character_set, PatientName=NAMES[character_set])
    results = results_on(read(sent))
    paths = write(tmp_path, *results.values())
    # dcentvfy compares bytes: it sees one patient in two character sets as two.
    same_characters = character_set in ("GB18030", "ISO_IR 192")
    (tmp_path / "source.dcm").write_bytes(sent)
    related = [tmp_path / "source.dcm", *paths] if same_characters else paths

    assert {path.name: iod_errors(path) for path in paths if iod_errors(path)} == {}
    assert entity_errors(related) == []


@needs("dsrdump")
@pytest.mark.parametrize("character_set", NAMES)
def test_another_reader_sees_the_chinese_words(tmp_path: Path, character_set: str) -> None:
    name = NAMES[character_set]
    sent = with_header(PNEUMONIA, SpecificCharacterSet=character_set, PatientName=name)
    [path] = write(tmp_path, results_on(read(sent))[ResultKind.REPORT])

    told = report_text(path)

    assert name in told
    assert "肺炎：存在，概率 0.99" in told
    assert "不得作为诊断依据" in told


@needs("dciodvfy")
@needs_pixelmed
@pytest.mark.slow
def test_report_on_a_study_follows_its_template(tmp_path: Path) -> None:
    report = results_on(*study_of_three())[ResultKind.REPORT]
    [path] = write(tmp_path, report)

    assert iod_errors(path) == []
    assert template_errors(path) == []
    # Each sentence says of which image it is, in a report on several.
    told = report_text(path)
    for number in (1, 2, 3):
        assert f"Image {number} of 3 (series 1, instance 1): " in told
        assert f"第 {number} 幅，共 3 幅（序列 1，影像 1）：" in told
    assert told.index("Image 1 of 3") < told.index("Image 2 of 3") < told.index("Image 3 of 3")


@needs("dciodvfy")
def test_an_invalid_object_would_be_found(tmp_path: Path) -> None:
    report = results_on(read(PNEUMONIA))[ResultKind.REPORT]
    broken = with_header(report.data, CompletionFlag=None, VerificationFlag="PERHAPS")
    (tmp_path / "broken.dcm").write_bytes(broken)

    assert len(iod_errors(tmp_path / "broken.dcm")) == 2


@needs("dciodvfy")
@pytest.mark.parametrize(
    "elements",
    [
        {"PatientName": None, "PatientID": None, "PatientBirthDate": None, "StudyID": None},
        {"PatientSex": "male", "PatientBirthDate": "1990-01-01", "StudyTime": "noon"},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PatientIdentityRemoved": "YES", "DeidentificationMethod": None},
        {"InstanceNumber": "-3", "PatientOrientation": "SIDEWAYS\\UP", "NumberOfFrames": 2},
        {"BurnedInAnnotation": "YES", "PatientAge": "3", "StudyDescription": "x" * 90},
        {"WindowCenter": "128", "WindowWidth": None},
        {"WindowCenter": "128", "WindowWidth": "0"},
        {"WindowCenter": ["128", "100"], "WindowWidth": "100", "VOILUTFunction": "CURVED"},
        {"RescaleSlope": "0", "RescaleIntercept": "0", "PixelSpacing": "0.2"},
        {"RescaleSlope": ["1", "2"], "RescaleIntercept": "0", "PixelSpacing": ["0", "0"]},
        {"RescaleType": "OD", "Laterality": "X", "PatientOrientation": "L"},
        {"InstanceNumber": "99999999999", "ImagerPixelSpacing": ["0.1", "-0.1"]},
        {"VOILUTSequence": [Dataset()], "ModalityLUTSequence": [Dataset()]},
    ],
)
def test_results_are_valid_where_the_source_is_not(
    tmp_path: Path, elements: dict[str, object]
) -> None:
    sent = with_header(PNEUMONIA, **elements)
    # With regions, whatever the model says of such an image: all kinds of results are made.
    results = results_on(replace(read(PNEUMONIA), source=read_source(sent)))
    assert len(results) == 4
    paths = write(tmp_path, *results.values())

    assert ResultKind.REPORT in results
    assert {path.name: iod_errors(path) for path in paths if iod_errors(path)} == {}


@needs("dciodvfy")
@pytest.mark.parametrize(
    "sop_class",
    [
        XRayAngiographicImageStorage,
        MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        CTImageStorage,
        EnhancedXAImageStorage,
    ],
)
@pytest.mark.parametrize("frames", [None, 1, 3])
def test_what_cannot_be_made_of_an_image_does_not_keep_the_rest_away(
    tmp_path: Path, sop_class: str, frames: int | None
) -> None:
    """highdicom wants a frame of reference of some classes, and functional groups of others."""
    sent = with_header(PNEUMONIA, SOPClassUID=sop_class, NumberOfFrames=frames)
    results = results_on(replace(read(PNEUMONIA), source=read_source(sent)))
    assert {ResultKind.REPORT, ResultKind.CAPTURE} <= results.keys()
    paths = write(tmp_path, *results.values())
    assert {path.name: iod_errors(path) for path in paths if iod_errors(path)} == {}


def table(type_of_unit: str = "") -> list[Dataset]:
    """A lookup table of 12 bits that is no straight line."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [256, 0, 12])
    entries = (np.linspace(0, 1, 256) ** 2 * 4095).astype("<u2")
    item.add_new("LUTData", "OW", entries.tobytes())
    if type_of_unit:
        item.ModalityLUTType = type_of_unit
    return [item]


@needs("dcmp2pgm")
@needs("dcmj2pnm")
@pytest.mark.parametrize(
    ("elements", "shown_by"),
    [
        ({}, ()),
        ({"WindowCenter": "100", "WindowWidth": "80"}, ("+Wi", "1")),
        ({"WindowCenter": ["100", "50"], "WindowWidth": ["80", "20"]}, ("+Wi", "1")),
        (
            {"WindowCenter": "200", "WindowWidth": "90", "RescaleSlope": "2"}
            | {"RescaleIntercept": "-50"},
            ("+Wi", "1"),
        ),
        ({"VOILUTSequence": table()}, ("+Wl", "1")),
        ({"VOILUTSequence": table(), "WindowCenter": "9", "WindowWidth": "9"}, ("+Wl", "1")),
        ({"ModalityLUTSequence": table("OD")}, ()),
        (
            {"ModalityLUTSequence": table("OD"), "WindowCenter": "1000", "WindowWidth": "1500"},
            ("+Wi", "1"),
        ),
        (
            {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": "99", "WindowWidth": "80"},
            ("+Wi", "1"),
        ),
    ],
)
def test_another_viewer_shows_the_image_as_it_is_under_the_presentation_state(
    tmp_path: Path, elements: dict[str, object], shown_by: tuple[str, ...]
) -> None:
    dataset = pydicom.dcmread(BytesIO(PNEUMONIA))
    dataset.decompress()
    stream = BytesIO()
    dataset.save_as(stream)
    image, state = tmp_path / "image.dcm", tmp_path / "state.dcm"
    image.write_bytes(with_header(stream.getvalue(), **elements))
    source = read_source(image.read_bytes())
    results = results_on(replace(read(PNEUMONIA), source=source))
    state.write_bytes(results[ResultKind.PRESENTATION].data)
    assert iod_errors(state) == []

    alone = pixels_by(tmp_path, "dcmj2pnm", "+op", *shown_by, str(image))
    under_the_state = pixels_by(tmp_path, "dcmp2pgm", "-p", str(state), str(image))

    assert np.abs(alone - under_the_state).max() <= 1


@needs("dcmp2pgm")
@needs("dciodvfy")
@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"RescaleSlope": "0.5", "RescaleIntercept": "-100"},
        {"PhotometricInterpretation": "MONOCHROME1"},
    ],
    ids=["plain", "rescaled", "inverted"],
)
def test_an_image_without_a_window_is_shown_as_the_model_saw_it(
    tmp_path: Path, elements: dict[str, object]
) -> None:
    dataset = pydicom.dcmread(BytesIO(PNEUMONIA))
    dataset.decompress()
    # A tenth of the 12 bits that can be stored, as detectors deliver it.
    seen = dataset.pixel_array.astype(np.uint16)
    if "PhotometricInterpretation" in elements:
        seen = 255 - seen
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelData = (600 + seen * 2).astype(np.uint16).tobytes()
    dataset["PixelData"].VR = "OW"
    for keyword in ("WindowCenter", "WindowWidth"):
        dataset.pop(keyword, None)
    stream = BytesIO()
    dataset.save_as(stream)
    image, state = tmp_path / "image.dcm", tmp_path / "state.dcm"
    image.write_bytes(with_header(stream.getvalue(), **elements))
    reading = read(image.read_bytes())
    state.write_bytes(results_on(reading)[ResultKind.PRESENTATION].data)
    assert iod_errors(state) == []
    under_the_state = pixels_by(tmp_path, "dcmp2pgm", "-p", str(state), str(image))
    seen_by_model = read_radiograph(image.read_bytes(), full_resolution=True).pixels
    # The range is found in the pixels of a reduced image here, of the whole image there.
    assert np.abs(under_the_state - seen_by_model.astype(np.int16)).max() <= 4
    assert np.percentile(under_the_state, 99) > 200


def pixels_by(folder: Path, *command: str) -> NDArray[np.int16]:
    """What a program of DCMTK shows."""
    picture = folder / "picture.pgm"
    done = subprocess.run([*command, str(picture)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.asarray(Image.open(picture)).astype(np.int16)


@needs("dciodvfy")
@pytest.mark.slow
def test_any_image_of_pydicom_gives_valid_results_or_a_reason(tmp_path: Path) -> None:
    """Files broken on purpose among them; one in three, in a fixed order, to save time."""
    answered = refused = 0
    for file in sorted(PYDICOM_FILES.glob("*.dcm"))[::3]:
        data = file.read_bytes()
        try:
            read_source(data)
        except UnreferableSourceError:
            refused += 1
            continue
        paths = write(tmp_path, *results_on(read(data)).values())
        assert {path.name: iod_errors(path) for path in paths if iod_errors(path)} == {}, file.name
        answered += 1
    assert answered >= 15
    assert refused >= 4
