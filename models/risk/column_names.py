"""Other names under which tables bring the inputs: short ones, and ones with another unit.

A name whose meaning depends on the score (`fh`, `total`) stands in `Score.column_names`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from models.risk.inputs import INPUTS
from models.risk.score import Score


@dataclass(frozen=True, slots=True)
class ColumnName:
    """What a column of that name holds."""

    input: str
    unit: str | None = None
    """UCUM; None for the input's own."""
    words: Mapping[str, str] | None = None
    """What its values mean, where they are not the input's own words."""


def _two(first: str, second: str) -> Mapping[str, str]:
    return {"1": first, "0": second, "true": first, "false": second}


COLUMN_NAMES: Mapping[str, ColumnName] = {
    "age": ColumnName("age_years"),
    "sbp": ColumnName("sbp_mmhg"),
    "dbp": ColumnName("dbp_mmhg"),
    "bmi": ColumnName("bmi_kg_m2"),
    "smoker": ColumnName("current_smoker"),
    "bp_tx": ColumnName("antihypertensive_treatment"),
    "statin": ColumnName("statin_treatment"),
    "tc": ColumnName("total_cholesterol_mmol_l"),
    "tc_mmol": ColumnName("total_cholesterol_mmol_l"),
    "tc_mgdl": ColumnName("total_cholesterol_mmol_l", "mg/dL"),
    "hdl": ColumnName("hdl_cholesterol_mmol_l"),
    "hdl_mmol": ColumnName("hdl_cholesterol_mmol_l"),
    "hdl_mgdl": ColumnName("hdl_cholesterol_mmol_l", "mg/dL"),
    "total_cholesterol_mg_dl": ColumnName("total_cholesterol_mmol_l", "mg/dL"),
    "hdl_cholesterol_mg_dl": ColumnName("hdl_cholesterol_mmol_l", "mg/dL"),
    "scr_mgdl": ColumnName("creatinine_umol_l", "mg/dL"),
    "creatinine_mg_dl": ColumnName("creatinine_umol_l", "mg/dL"),
    "scr_umol": ColumnName("creatinine_umol_l"),
    "egfr": ColumnName("egfr_ml_min_1_73m2"),
    "acr_mgmmol": ColumnName("urine_acr_mg_mmol"),
    "acr_mgg": ColumnName("urine_acr_mg_g"),
    "uacr": ColumnName("urine_acr_mg_g"),
    "hba1c": ColumnName("hba1c_percent"),
    "hba1c_ifcc": ColumnName("hba1c_percent", "mmol/mol"),
    "hba1c_mmol_mol": ColumnName("hba1c_percent", "mmol/mol"),
    "age_dm": ColumnName("age_at_diabetes_diagnosis_years"),
    "alb_gdl": ColumnName("serum_albumin_g_l", "g/dL"),
    "ca_mgdl": ColumnName("calcium_mmol_l", "mg/dL"),
    "phos_mgdl": ColumnName("phosphate_mmol_l", "mg/dL"),
    "hco3": ColumnName("bicarbonate_mmol_l"),
    "ast": ColumnName("ast_u_l"),
    "alt": ColumnName("alt_u_l"),
    "plt": ColumnName("platelets_10_9_l"),
    "hr": ColumnName("heart_rate_per_min"),
    "rr": ColumnName("respiratory_rate_per_min"),
    "spo2": ColumnName("spo2_percent"),
    "temp": ColumnName("temperature_c"),
    "o2": ColumnName("supplemental_oxygen"),
    "scale2": ColumnName("spo2_scale_2"),
    "sdi": ColumnName("sdi_decile"),
    "parents_htn": ColumnName("parents_with_hypertension"),
    "years": ColumnName("horizon_years"),
    "active": ColumnName("physically_active"),
    "daily_veg": ColumnName("daily_vegetables_or_fruit"),
    "high_glucose": ColumnName("ever_high_glucose"),
    "gdm": ColumnName("gestational_diabetes"),
    "htn": ColumnName("hypertension"),
    "north": ColumnName("region_of_china", words=_two("north", "south")),
    "urban": ColumnName("residence", words=_two("urban", "rural")),
}


def column_name(name: str, score: Score | None = None) -> ColumnName | None:
    """Return what a column called `name` holds, None where the name says nothing to us."""
    if name in INPUTS:
        return ColumnName(name)
    if score is not None and name in score.column_names:
        return ColumnName(score.column_names[name])
    return COLUMN_NAMES.get(name)
