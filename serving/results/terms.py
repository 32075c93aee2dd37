"""The codes that results are written in.

Sources:
    DICOM PS3.16 2026b, annex D (designator DCM) and the context groups named below.
    SNOMED CT, as PS3.16 uses it (designator SCT): CID 240 |Present-Absent|.
    UCUM (designator UCUM): `%` percent, `1` the unity.
    RFC 5646 language tags, as TID 1204 allows by CID 5000.
    99ZHUZHEN: this project's own, listed in docs/dicom-conformance.md, for what no standard code
    says: the gate's verdicts, the operating point and why a model abstains.
"""

from collections.abc import Mapping

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom.sr.coding import Code

from models import codes
from models.findings import Code as ModelCode
from models.findings import Decision, Verdict

PRIVATE_SCHEME = "99ZHUZHEN"
_SCHEME_UID = "2.25.301948172064918250331967480211553928114"

IMAGING_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
"""CID 100, whose narrower code for a radiograph (LN 43468-8) older validators do not know."""

ENGLISH = CodedConcept("en-US", "RFC5646", "English (United States)")
CHINESE = CodedConcept("zh-CN", "RFC5646", "Chinese (China)")
LANGUAGE_OF_VALUE = CodedConcept("121047", "DCM", "Language of Value")

CERTAINTY_OF_FINDING = CodedConcept("111012", "DCM", "Certainty of Finding")
CLASS_ACTIVATION = CodedConcept("130402", "DCM", "Class activation")
PERCENT = CodedConcept("%", "UCUM", "Percent")
UNITY = CodedConcept("1", "UCUM", "no units")

COMMENT = CodedConcept("121106", "DCM", "Comment")
PROCESSING_SUMMARY = CodedConcept("111017", "DCM", "CAD Processing and Findings Summary")
QUALITATIVE_EVALUATIONS = CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")
ARTIFICIAL_INTELLIGENCE = CodedConcept("123110", "DCM", "Artificial Intelligence")
"""Algorithm family, CID 7162."""

WITH_FINDINGS = CodedConcept("111242", "DCM", "All algorithms succeeded; with findings")
WITHOUT_FINDINGS = CodedConcept("111241", "DCM", "All algorithms succeeded; without findings")
NOT_SUCCEEDED = CodedConcept("111245", "DCM", "No algorithms succeeded; without findings")
"""CID 6047."""

DECISIONS: Mapping[Decision, CodedConcept] = {
    Decision.PRESENT: CodedConcept("52101004", "SCT", "Present"),
    Decision.ABSENT: CodedConcept("272519000", "SCT", "Absent"),
    Decision.INDETERMINATE: CodedConcept("373068000", "SCT", "Undetermined"),
}
"""CID 240."""


def _own(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(value, PRIVATE_SCHEME, meaning)


GATE_VERDICT = _own("GATE", "Fitness of the image for the model's intended use")
VERDICTS: Mapping[Verdict, CodedConcept] = {
    Verdict.ACCEPTED: _own("ACCEPTED", "Accepted: the model may be used on this image"),
    Verdict.OUTSIDE_INTENDED_USE: _own("OUTSIDE_USE", "Refused: outside the intended use"),
    Verdict.OUT_OF_DISTRIBUTION: _own("OUT_OF_DIST", "Refused: unlike what the model was made for"),
    Verdict.UNREADABLE: _own("UNREADABLE", "Refused: the pixels cannot be read"),
}
OPERATING_POINT = _own("OPERATING_POINT", "Probability from which the finding counts as present")
CONFORMAL_COVERAGE = _own("COVERAGE", "Stated coverage of the conformal set")
PRESENCE = _own("PRESENCE", "Presence of the finding")
ABSTENTION = _own("ABSTENTION", "Why the model abstains")
ABSTENTIONS: Mapping[str, CodedConcept] = {
    "both": _own("BOTH_POSSIBLE", "Present and absent are both possible"),
    "neither": _own("NEITHER_FITS", "Neither present nor absent fits"),
    "contrary": _own("CONTRARY", "Only the answer against the operating point fits"),
}
PRE_READ = _own("PRE_READ", "Pre-read of an image by a model")
NOTICE = _own("NOTICE", "Limits of use")
REASON = _own("REASON", "Reason of the gate")
OWN_TERMS = (
    *(PRE_READ, GATE_VERDICT, *VERDICTS.values(), PRESENCE, OPERATING_POINT, CONFORMAL_COVERAGE),
    *(ABSTENTION, *ABSTENTIONS.values(), NOTICE, REASON),
)
"""Every concept of 99ZHUZHEN."""

_DESIGNATORS = {codes.SNOMED_CT: "SCT", codes.ICD_10: "I10"}
"""Coding Scheme Designators (PS3.16 section 8) of the systems that packages use."""


def scheme_identification() -> CodingSchemeIdentificationItem:
    """Return what 99ZHUZHEN is, for Coding Scheme Identification Sequence (0008,0110)."""
    item = CodingSchemeIdentificationItem(
        designator=PRIVATE_SCHEME,
        name="Zhuzhen terms of pre-reads",
        version="1",
        responsible_organization="Zhuzhen",
    )
    # highdicom keeps a UID only together with a registry.
    item.CodingSchemeUID = _SCHEME_UID
    return item


def concept_of(codes_of_finding: tuple[ModelCode, ...], fallback: str) -> CodedConcept:
    """Return the first code of a finding whose system DICOM knows, else one of our own."""
    for code in codes_of_finding:
        designator = _DESIGNATORS.get(code.system)
        if designator is not None:
            return CodedConcept(code.value, designator, code.display[:64])
    return _own(fallback.upper()[:16], fallback[:64])
