from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)

from models.radiograph import AgeSource, RadiographFacts
from serving.imaging import read_radiograph
from serving.imaging.anatomy_codes import BODY_PART_BY_CODE, BODY_PART_BY_SPELLING, VIEW_BY_CODE
from tests.dicom_samples import encode, radiograph_dataset, ramp

LATIN_NAME = "Wang^Xiaoming"


def _facts(**elements: Any) -> RadiographFacts:
    return read_radiograph(encode(radiograph_dataset(ramp(), **elements))).facts


def _code(value: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", "unused"
    return Sequence([item])


def test_facts_of_a_complete_header() -> None:
    facts = _facts(PixelSpacing=[0.2, 0.2])

    assert facts == RadiographFacts(
        source_format="DICOM",
        modality="CR",
        body_part="CHEST",
        view_position="AP",
        age_years=3.0,
        age_source=AgeSource.PATIENT_AGE,
        sop_class="Computed Radiography Image Storage",
        transfer_syntax="Explicit VR Little Endian",
        photometric_interpretation="MONOCHROME2",
        bits_stored=16,
        frames=1,
        remarks=(),
    )


@pytest.mark.parametrize(
    ("stated", "sop_class", "intent"),
    [
        ("FOR PROCESSING", ComputedRadiographyImageStorage, "FOR PROCESSING"),
        ("FOR PRESENTATION", DigitalXRayImageStorageForProcessing, "FOR PRESENTATION"),
        (None, DigitalXRayImageStorageForProcessing, "FOR PROCESSING"),
        ("FOR TEA", DigitalXRayImageStorageForPresentation, "FOR PRESENTATION"),
        (None, ComputedRadiographyImageStorage, None),
    ],
)
def test_raw_images_are_told_from_those_for_people(
    stated: str | None, sop_class: str, intent: str | None
) -> None:
    facts = _facts(PresentationIntentType=stated, SOPClassUID=sop_class)

    assert facts.presentation_intent == intent


def test_absent_facts_are_none() -> None:
    absent = dict.fromkeys(("Modality", "BodyPartExamined", "ViewPosition", "PatientAge"))

    facts = _facts(**absent)

    assert facts.modality is None
    assert facts.body_part is None
    assert facts.view_position is None
    assert (facts.age_years, facts.age_source) == (None, None)
    assert facts.remarks == ()


@pytest.mark.parametrize(
    ("elements", "body_part"),
    [
        ({"BodyPartExamined": " Chest "}, "CHEST"),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": _code("816094009")}, "CHEST"),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": _code("T-D3000")}, "CHEST"),
        ({"BodyPartExamined": "", "AnatomicRegionSequence": _code("30021000")}, "LEG"),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": _code("1")}, None),
    ],
)
def test_body_part_is_read_plain_or_coded(elements: dict[str, Any], body_part: str | None) -> None:
    assert _facts(**elements).body_part == body_part


@pytest.mark.parametrize("spelling", [*BODY_PART_BY_SPELLING, "Chest PA ", "port chest"])
def test_what_devices_write_for_the_chest_is_read_as_the_chest(spelling: str) -> None:
    facts = _facts(BodyPartExamined=spelling)

    assert facts.body_part == "CHEST"
    (remark,) = facts.remarks
    assert f"is {spelling.strip().upper()}; it was read as CHEST" in remark.en
    assert f"为 {spelling.strip().upper()}" in remark.zh


@pytest.mark.parametrize("other", ["CHEST LAT", "CHESTABDOMEN", "CHEST PHANTOM", "ABDOMEN", "PORT"])
def test_what_is_not_known_to_mean_the_chest_stays_as_it_is(other: str) -> None:
    facts = _facts(BodyPartExamined=other)

    assert facts.body_part == other
    assert facts.remarks == ()


def test_a_code_for_the_chest_agrees_with_a_spelling_of_it() -> None:
    facts = _facts(BodyPartExamined="THORAX", AnatomicRegionSequence=_code("816094009"))

    assert facts.body_part == "CHEST"
    assert not any("disagrees" in remark.en for remark in facts.remarks)


@pytest.mark.parametrize(
    ("elements", "view"),
    [
        ({"ViewPosition": "PA"}, "PA"),
        ({"ViewPosition": None, "ViewCodeSequence": _code("272479007")}, "PA"),
        ({"ViewPosition": "", "ViewCodeSequence": _code("399348003")}, "AP"),
    ],
)
def test_view_is_read_plain_or_coded(elements: dict[str, Any], view: str) -> None:
    assert _facts(**elements).view_position == view


@pytest.mark.parametrize(
    ("elements", "remark"),
    [
        ({"AnatomicRegionSequence": _code("72696002")}, "Body Part Examined (0018,0015) disagrees"),
        ({"ViewCodeSequence": _code("272479007")}, "View Position (0018,5101) disagrees"),
        ({"PixelSpacing": [0, 0]}, "Pixel Spacing (0028,0030) is not a positive length"),
        ({"ImagerPixelSpacing": [-1, 1]}, "Imager Pixel Spacing (0018,1164) is not a positive"),
    ],
)
def test_what_contradicts_or_is_absurd_is_remarked(elements: dict[str, Any], remark: str) -> None:
    remarks = _facts(**elements).remarks

    assert len(remarks) == 1
    assert remark in remarks[0].en


def test_free_text_in_a_code_string_is_neither_used_nor_repeated() -> None:
    dataset = radiograph_dataset(ramp(), BodyPartExamined=None)
    dataset.add_new("BodyPartExamined", "LO", f"chest of {LATIN_NAME}")

    facts = read_radiograph(encode(dataset)).facts

    assert facts.body_part is None
    assert "Body Part Examined (0018,0015) is not a code string" in facts.remarks[0].en
    assert LATIN_NAME not in str(facts)


@pytest.mark.parametrize("charset", [b"GB18030 ", b"ISO_IR99", b"IR 58\\IR", b"\xff\xfenonsen"])
def test_names_in_a_wrong_character_set_do_not_matter(charset: bytes) -> None:
    dataset = radiograph_dataset(ramp())
    dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 6", LATIN_NAME
    content = encode(dataset).replace(b"ISO_IR 6", charset)
    content = content.replace(LATIN_NAME.encode(), b"\xb2\xe2\xff\xfe\x1b$)A\x81\x30\xd0\xa1\x1b")

    facts = read_radiograph(content).facts

    assert (facts.modality, facts.body_part, facts.age_years) == ("CR", "CHEST", 3.0)
    assert facts.remarks == ()


def test_unregistered_sop_class_is_not_repeated() -> None:
    assert _facts(SOPClassUID="1.2.826.0.1.3680043.8.498.99").sop_class is None


def test_tables_of_codes_agree_with_those_of_the_standard() -> None:
    meanings: dict[str, Any] = concepts["SCT"]
    known = {
        code
        for context_group in (4009, 4010)
        for keyword in cid_concepts[context_group]["SCT"]
        for code in meanings[keyword]
    }
    retired = {"51185008", "12921003", "113345001"}

    for table in (BODY_PART_BY_CODE, VIEW_BY_CODE):
        plain = {code for code in table if "-" not in code}
        assert plain - retired <= known
        for code in table.keys() - plain:
            replacement = mapping["SRT"].get(code)
            assert replacement is None or table[replacement] == table[code]


def test_shape_of_pixels_has_no_influence_on_the_facts() -> None:
    small = read_radiograph(encode(radiograph_dataset(np.zeros((3, 5), np.uint16)))).facts

    assert small == _facts()
