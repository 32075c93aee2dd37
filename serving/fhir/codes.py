"""Codes by which facts about a person are found in FHIR resources.

LOINC codes of measurements stand in `models.risk.inputs`. Here: the blood pressure panel and
smoking answers (LOINC, SNOMED CT as used in the US Core smoking status value set), conditions by
ICD-10 (WHO edition; the CM and GM editions share these categories) with SNOMED CT as an optional
extra, and medications by ATC (WHO Collaborating Centre, 2024).
"""

from collections.abc import Mapping

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
OWN_INPUT = "urn:zhuzhen:risk-input"
"""Inputs by their own names, for those that no other system has a code for."""
ATC = "http://www.whocc.no/atc"
ICD_10_SYSTEMS = (
    "http://hl7.org/fhir/sid/icd-10",
    "http://hl7.org/fhir/sid/icd-10-cm",
    "http://hl7.org/fhir/sid/icd-10-cn",
    "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
)
BLOOD_PRESSURE_PANEL = "85354-9"
SMOKING = "72166-2"

SMOKING_ANSWERS: Mapping[str, bool] = {
    "449868002": True,  # smokes tobacco daily
    "428041000124106": True,  # occasional tobacco smoker
    "77176002": True,  # smoker
    "8517006": False,  # ex-smoker
    "266919005": False,  # never smoked tobacco
    "LA18976-3": True,  # current every day smoker
    "LA18977-1": True,  # current some day smoker
    "LA15920-4": False,  # former smoker
    "LA18978-9": False,  # never smoker
}

CONDITIONS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "diabetes": (("E10", "E11", "E12", "E13", "E14"), ("73211009", "44054006", "46635009")),
    "hypertension": (("I10", "I11", "I12", "I13", "I15"), ("38341003", "59621000")),
    "heart_failure": (("I50",), ("84114007",)),
    "prior_stroke_tia": (
        ("I60", "I61", "I62", "I63", "I64", "I69", "G45"),
        ("230690007", "266257000"),
    ),
    "vascular_disease": (
        ("I20", "I21", "I22", "I23", "I24", "I25", "I70", "I71", "I73", "I74"),
        ("53741008", "22298006"),
    ),
}
"""Input: ICD-10 categories, SNOMED CT concepts."""

MEDICATIONS: Mapping[str, tuple[str, ...]] = {
    "antihypertensive_treatment": ("C02", "C03", "C07", "C08", "C09"),
    "statin_treatment": ("C10AA", "C10BA", "C10BX"),
}
"""Input: beginnings of ATC codes."""
