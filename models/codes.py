"""Codes of what the models can find.

Sources, each as it was last held against something:
    SNOMED CT: the concept dictionary of pydicom 3.0 (DICOM PS3.16, context groups 638, 639, 222 and
    the concepts that pydicom maps from SNOMED RT), which a test compares one by one: 408643008,
    254626006, 254634000, 17621005, 53741008.
    ICD-O, third edition, morphology: the SNOMED RT codes of the same numbers in that dictionary
    (M-85003, M-81403, M-80703), whose M axis is ICD-O's; a test compares them.
    `TO_CONFIRM`: codes that no dictionary at hand has; not confirmed. They are as
    HL7's published examples use them (233604007 |Pneumonia|, C-CDA; 419620001 |Death (event)|,
    EvidenceVariable of FHIR R5), or as ICD-10, WHO version 2019, names them
    (https://icd.who.int/browse10/2019/en).
System URIs: HL7 FHIR R4, http://hl7.org/fhir/R4/terminologies-systems.html.
"""

from collections.abc import Mapping

from models.findings import Code, Text

SNOMED_CT = "http://snomed.info/sct"
ICD_10 = "http://hl7.org/fhir/sid/icd-10"
ICD_O_3 = "http://terminology.hl7.org/CodeSystem/icd-o-3"

FINDING_NAMES: Mapping[str, Text] = {
    "pneumonia": Text("Pneumonia", "肺炎"),
    "idc": Text("Invasive ductal carcinoma", "浸润性导管癌"),
    "adenocarcinoma": Text("Adenocarcinoma of lung", "肺腺癌"),
    "benign": Text("Benign lung tissue", "良性肺组织"),
    "squamous_cell_carcinoma": Text("Squamous cell carcinoma of lung", "肺鳞状细胞癌"),
    "death": Text("Death from any cause within 10 years", "10 年内全因死亡"),
    "coronary_disease": Text("Coronary artery disease", "冠状动脉疾病"),
}

FINDING_CODES: Mapping[str, tuple[Code, ...]] = {
    "pneumonia": (
        Code(SNOMED_CT, "233604007", "Pneumonia"),
        Code(ICD_10, "J18.9", "Pneumonia, unspecified"),
    ),
    "idc": (
        Code(SNOMED_CT, "408643008", "Infiltrating duct carcinoma of breast"),
        Code(ICD_10, "C50.9", "Malignant neoplasm of breast, unspecified"),
        Code(ICD_O_3, "8500/3", "Infiltrating duct carcinoma, NOS"),
    ),
    "adenocarcinoma": (
        Code(SNOMED_CT, "254626006", "Adenocarcinoma of lung"),
        Code(ICD_10, "C34.9", "Malignant neoplasm of bronchus or lung, unspecified"),
        Code(ICD_O_3, "8140/3", "Adenocarcinoma, NOS"),
    ),
    "benign": (Code(SNOMED_CT, "17621005", "Normal"),),
    "squamous_cell_carcinoma": (
        Code(SNOMED_CT, "254634000", "Squamous cell carcinoma of lung"),
        Code(ICD_10, "C34.9", "Malignant neoplasm of bronchus or lung, unspecified"),
        Code(ICD_O_3, "8070/3", "Squamous cell carcinoma, NOS"),
    ),
    "death": (Code(SNOMED_CT, "419620001", "Death"),),
    "coronary_disease": (
        Code(SNOMED_CT, "53741008", "Coronary arteriosclerosis"),
        Code(ICD_10, "I25.1", "Atherosclerotic heart disease"),
    ),
}

TO_CONFIRM: frozenset[tuple[str, str]] = frozenset(
    {
        (SNOMED_CT, "233604007"),
        (SNOMED_CT, "419620001"),
        (ICD_10, "J18.9"),
        (ICD_10, "C50.9"),
        (ICD_10, "C34.9"),
        (ICD_10, "I25.1"),
    }
)
"""System and code of what was written down and not yet held against the terminology itself."""
