"""Every code is what a dictionary says it is, or is marked as not confirmed."""

from typing import Any

import pytest
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping

from models.codes import FINDING_CODES, FINDING_NAMES, ICD_O_3, SNOMED_CT, TO_CONFIRM
from models.findings import Code

CODES = sorted({code for codes in FINDING_CODES.values() for code in codes}, key=str)


def meanings(value: str) -> set[str]:
    """Return what pydicom's dictionary of DICOM's concepts calls a SNOMED CT code."""
    snomed: dict[str, Any] = concepts["SCT"]
    entries = (entry for names in snomed.values() for entry in names.items())
    return {told[0].partition(" (")[0].lower() for code, told in entries if code == value}


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.value)
def test_code_is_confirmed_or_marked(code: Code) -> None:
    if (code.system, code.value) in TO_CONFIRM:
        assert not meanings(code.value), "the dictionary has it now: compare it, and unmark it"
        return
    if code.system == ICD_O_3:
        as_snomed_rt = "M-" + code.value.replace("/", "")
        (told,) = meanings(mapping["SRT"][as_snomed_rt])
        assert told.partition(",")[0] == code.display.partition(",")[0].lower()
        return
    assert code.system == SNOMED_CT
    assert code.display.lower() in meanings(code.value)


def test_every_finding_has_a_name_and_codes() -> None:
    assert FINDING_CODES.keys() == FINDING_NAMES.keys()
    assert {(code.system, code.value) for code in CODES} >= TO_CONFIRM
