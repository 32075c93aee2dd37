"""Other names under which tables bring the inputs: short, Chinese, or with another unit.

A unit may be part of the name, as in those of the inputs (`creatinine_mg_dl`), or follow it in
brackets (`总胆固醇（mg/dL）`). A name whose meaning depends on the score (`fh`, `total`) stands in
`Score.column_names`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from models.risk.input_kinds import Kind
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


_UNITS: Mapping[str, str] = {
    "mg_dl": "mg/dL",
    "mmol_l": "mmol/L",
    "umol_l": "umol/L",
    "g_dl": "g/dL",
    "g_l": "g/L",
    "mg_l": "mg/L",
    "mg_g": "mg/g",
    "mg_mmol": "mg/mmol",
    "mmol_mol": "mmol/mol",
    "percent": "%",
    "mmhg": "mm[Hg]",
    "kpa": "kPa",
    "cm": "cm",
    "m": "m",
    "in": "[in_i]",
    "kg": "kg",
    "lb": "[lb_av]",
    "c": "Cel",
    "f": "[degF]",
}
"""Ends of names, and the UCUM units that they stand for."""


def _stems() -> Mapping[str, str]:
    """Return the inputs by their names without the unit."""
    found = {}
    for name, entry in INPUTS.items():
        ends = [end for end in _UNITS if name.endswith(f"_{end}")]
        if entry.kind is Kind.NUMBER and ends:
            found[name.removesuffix(f"_{max(ends, key=len)}")] = name
    # Of the two that differ in the unit alone, each has a whole name of its own.
    return {stem: name for stem, name in found.items() if stem not in INPUTS}


_STEMS = _stems()
_LABELS = {entry.label.zh: name for name, entry in INPUTS.items()} | {
    "体质指数": "bmi_kg_m2",
    "体重指数": "bmi_kg_m2",
    "肌酐": "creatinine_umol_l",
    "吸烟": "current_smoker",
    "城乡": "residence",
    "南北方": "region_of_china",
    "hdl-c": "hdl_cholesterol_mmol_l",
}
_WITH_UNIT = re.compile(r"(.{1,60}?)\s*[(（\[]([^()（）]{1,20})[)）\]]")


def column_name(name: str, score: Score | None = None) -> ColumnName | None:
    """Return what a column called `name` holds, None where the name says nothing to us."""
    whole = _plainly(name.strip(), score)
    if whole is not None or len(name) > _LONGEST:
        return whole
    bracketed = _WITH_UNIT.fullmatch(name.strip())
    if bracketed is None:
        return _by_stem(name.strip().lower())
    meant = _plainly(bracketed[1], score) or _by_stem(bracketed[1].lower())
    unit = bracketed[2].strip()
    if meant is None or meant.unit is not None or INPUTS[meant.input].kind is not Kind.NUMBER:
        return meant
    return replace(meant, unit=None if unit == INPUTS[meant.input].unit else unit)


_LONGEST = 80


def _by_stem(name: str) -> ColumnName | None:
    for end in sorted(_UNITS, key=len, reverse=True):
        known = _STEMS.get(name.removesuffix(f"_{end}")) if name.endswith(f"_{end}") else None
        if known is not None:
            return ColumnName(known, _UNITS[end])
    return None


def _plainly(name: str, score: Score | None = None) -> ColumnName | None:
    for spelling in (name, name.lower()):
        if spelling in INPUTS:
            return ColumnName(spelling)
        if score is not None and spelling in score.column_names:
            return ColumnName(score.column_names[spelling])
        if spelling in COLUMN_NAMES:
            return COLUMN_NAMES[spelling]
        if spelling in _LABELS:
            return ColumnName(_LABELS[spelling])
    return None
