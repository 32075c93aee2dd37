"""A person within the population of every score."""

from models.risk.inputs import GAD7_ITEMS, PHQ9_ITEMS

PERSON: dict[str, object] = {
    "age_years": 58,
    "sex": "male",
    "country": "CHN",
    "height_cm": 170,
    "weight_kg": 72,
    "bmi_kg_m2": 24.9,
    "waist_cm": 88,
    "sbp_mmhg": 136,
    "dbp_mmhg": 84,
    "heart_rate_per_min": 76,
    "respiratory_rate_per_min": 16,
    "spo2_percent": 97,
    "temperature_c": 36.7,
    "total_cholesterol_mmol_l": 5.6,
    "hdl_cholesterol_mmol_l": 1.2,
    "creatinine_umol_l": 82,
    "egfr_ml_min_1_73m2": 55,
    "urine_acr_mg_mmol": 4,
    "hba1c_percent": 6.4,
    "serum_albumin_g_l": 41,
    "calcium_mmol_l": 2.3,
    "phosphate_mmol_l": 1.1,
    "bicarbonate_mmol_l": 25,
    "ast_u_l": 30,
    "alt_u_l": 28,
    "platelets_10_9_l": 210,
    "current_smoker": True,
    "hypertension": False,
    "statin_treatment": False,
    "antihypertensive_treatment": False,
    "family_history_ascvd": False,
    "family_history_diabetes": False,
    "family_history_diabetes_degree": "none",
    "physically_active": True,
    "daily_vegetables_or_fruit": True,
    "ever_high_glucose": False,
    "heart_failure": False,
    "prior_stroke_tia": False,
    "vascular_disease": False,
    "supplemental_oxygen": False,
    "alert": True,
    "region_of_china": "north",
    "residence": "urban",
    "race": "white",
    "sdi_decile": 5,
    "parents_with_hypertension": 1,
    "age_at_diabetes_diagnosis_years": 52,
    **dict.fromkeys((*PHQ9_ITEMS, *GAD7_ITEMS), 1),
}


def person_of(score_id: str) -> dict[str, object]:
    """What is told about the person, fitted to the score's population."""
    changes: dict[str, object] = {"diabetes": score_id == "score2-diabetes"}
    if score_id.startswith("score2"):
        changes["region"] = "high"
    if score_id == "score2-op":
        changes["age_years"] = 76
    return {**PERSON, **changes}
