"""Codes of what the models can find.

Sources:
    SNOMED CT, international edition: concept 233604007 |Pneumonia (disorder)|.
    ICD-10, WHO version 2019 (https://icd.who.int/browse10/2019/en): J18.9.
System URIs: HL7 FHIR R4, http://hl7.org/fhir/R4/terminologies-systems.html.
"""

from collections.abc import Mapping

from models.findings import Code, Text

SNOMED_CT = "http://snomed.info/sct"
ICD_10 = "http://hl7.org/fhir/sid/icd-10"

FINDING_NAMES: Mapping[str, Text] = {"pneumonia": Text("Pneumonia", "肺炎")}

FINDING_CODES: Mapping[str, tuple[Code, ...]] = {
    "pneumonia": (
        Code(SNOMED_CT, "233604007", "Pneumonia"),
        Code(ICD_10, "J18.9", "Pneumonia, unspecified"),
    ),
}
