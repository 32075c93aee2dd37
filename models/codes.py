"""Codes of what the models can find.

Sources:
    SNOMED CT, international edition: concepts 233604007 |Pneumonia (disorder)|, 408643008
    |Infiltrating duct carcinoma of breast (disorder)|, 254626006 |Adenocarcinoma of lung
    (disorder)|, 254634000 |Squamous cell carcinoma of lung (disorder)|, 17621005 |Normal
    (qualifier value)|, 53741008 |Coronary arteriosclerosis (disorder)|, 419620001 |Death (event)|.
    ICD-10, WHO version 2019 (https://icd.who.int/browse10/2019/en): J18.9, C50.9, C34.9, I25.1.
    ICD-O, WHO third edition, first revision (morphology): 8500/3, 8140/3, 8070/3.
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
