"""Readings of real images, with headers as tests want them, and the results on them."""

from dataclasses import replace
from datetime import datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pydicom.config
from pydicom.charset import convert_encodings
from pydicom.valuerep import PersonName

from models.findings import Decision
from serving.recognition import Reading
from serving.results import ReadImage, ResultKind, ResultObject, build_results, read_source
from serving.shelf import Shelf

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PNEUMONIA = (EXAMPLES / "child-pneumonia-1.dcm").read_bytes()
NORMAL = (EXAMPLES / "child-normal-1.dcm").read_bytes()
CREATED = datetime(2026, 11, 25, 10, 30, 15)
_IR_58 = "\\ISO 2022 IR 58"
_IR_58_NAME = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab"
"""The example of PS3.5 K.2, byte for byte: pydicom's writer leaves the escape sequences out."""
NAMES = {
    "GB18030": "Wang^XiaoDong=王^小东",
    "GBK": "Wang^XiaoDong=王^小东",
    "ISO_IR 192": "Wang^XiaoDong=王^小东",
    _IR_58: "Zhang^XiaoDong=张^小东",
}
"""A patient's name in each character set that Chinese senders use (PS3.5 annexes J and K)."""


@cache
def _shelf() -> Shelf:
    return Shelf()


def with_header(data: bytes, **elements: Any) -> bytes:
    """The object with some elements set or, if None, left out; values may be invalid."""
    dataset = pydicom.dcmread(BytesIO(data))
    with pydicom.config.disable_value_validation():
        character_set = elements.pop("SpecificCharacterSet", None)
        if character_set is not None:
            dataset.decode()
            dataset.SpecificCharacterSet = character_set.split("\\")
        for keyword, value in elements.items():
            if keyword in dataset:
                delattr(dataset, keyword)
            if value is not None:
                setattr(dataset, keyword, value)
        if character_set == _IR_58:
            dataset.PatientName = PersonName(_IR_58_NAME, convert_encodings(["", "ISO 2022 IR 58"]))
        stream = BytesIO()
        dataset.save_as(stream)
    return stream.getvalue()


@cache
def read(data: bytes) -> ReadImage:
    """What the released model says of the object."""
    recognizer = _shelf().recognizer("chest-xray-pneumonia")
    return ReadImage(read_source(data), recognizer.read(data), recognizer.package.statement)


def abstaining(image: ReadImage) -> ReadImage:
    """The image as if the model could exclude neither answer."""
    finding = replace(
        image.pre_read.findings[0],
        decision=Decision.INDETERMINATE,
        conformal_set=("present", "absent"),
    )
    pre_read = replace(image.pre_read, findings=(finding,))
    reading = Reading(pre_read, image.reading.radiograph, image.reading.heats)
    return replace(image, reading=reading)


def results_on(*images: ReadImage, **options: Any) -> dict[ResultKind, ResultObject]:
    """The results by kind; of several of one kind the last."""
    return {result.kind: result for result in build_results(images, created=CREATED, **options)}


def dataset_of(result: ResultObject) -> pydicom.Dataset:
    """The result as a reader gets it."""
    return pydicom.dcmread(BytesIO(result.data))
