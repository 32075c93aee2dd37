from typing import Any

import numpy as np
import pytest

from models.codes import FINDING_CODES, FINDING_NAMES
from models.findings import Decision, Finding, ModelReference, PreRead, Text, Verdict
from models.radiograph import Radiograph, RadiographFacts

FINDING = Finding(
    label="pneumonia",
    name=Text("Pneumonia", "肺炎"),
    codes=FINDING_CODES["pneumonia"],
    probability=0.9,
    operating_point=0.5,
    decision=Decision.PRESENT,
    conformal_set=("present",),
    conformal_coverage=0.95,
    regions=(),
)


def pre_read(verdict: Verdict, *findings: Finding) -> PreRead:
    reference = ModelReference("chest", "1.0.0", "sha256:0")
    return PreRead(reference, verdict, (), findings, None, None, None)


@pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.ACCEPTED])
def test_findings_of_an_input_that_was_not_accepted_cannot_exist(verdict: Verdict) -> None:
    with pytest.raises(ValueError, match=f"verdict {verdict} must not carry findings"):
        pre_read(verdict, FINDING)
    assert pre_read(verdict).findings == ()


def test_accepted_input_carries_its_findings() -> None:
    assert pre_read(Verdict.ACCEPTED, FINDING).findings == (FINDING,)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint16),
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 3), np.uint8),
        np.zeros(16, np.uint8),
        np.zeros((0, 4), np.uint8),
    ],
)
def test_pixels_that_are_no_grey_image_are_refused(pixels: Any) -> None:
    with pytest.raises(ValueError, match="non-empty 2-d uint8"):
        Radiograph(pixels, 4, 4, RadiographFacts("PNG"))


def test_every_finding_has_a_name_in_both_languages_and_codes() -> None:
    assert FINDING_NAMES.keys() == FINDING_CODES.keys()
    for label, codes in FINDING_CODES.items():
        systems = {code.system for code in codes}
        assert "http://snomed.info/sct" in systems
        # Benign tissue and death are no disease that ICD-10 has a code for.
        assert "http://hl7.org/fhir/sid/icd-10" in systems or label in ("benign", "death")
        assert FINDING_NAMES[label].en
        assert FINDING_NAMES[label].zh
