"""Estimated glomerular filtration rate from creatinine, CKD-EPI 2021 and 2009.

2021: Inker LA et al. N Engl J Med 2021;385:1737-49, doi 10.1056/NEJMoa2102953.
2009: Levey AS et al. Ann Intern Med 2009;150:604-12, doi 10.7326/0003-4819-150-9-200905050-00006.
"""

from dataclasses import replace

import numpy as np

from models.findings import Text
from models.risk.inputs import UMOL_L_PER_MG_DL_CREATININE
from models.risk.scales import Scale
from models.risk.score import Band, Columns, Floats, Measure, Need, Score, one_of
from models.risk.texts import NO_TERMS_FOUND


def _relative_creatinine(columns: Columns) -> tuple[Floats, Floats]:
    kappa = np.where(columns["sex"] == 1, 0.7, 0.9)
    relative = columns["creatinine_umol_l"] / UMOL_L_PER_MG_DL_CREATININE / kappa
    return np.minimum(relative, 1), np.maximum(relative, 1)


def ckd_epi_2021(columns: Columns) -> Floats:
    """Return the eGFR in mL/min/1.73 m2, shape (people,)."""
    below, above = _relative_creatinine(columns)
    female = columns["sex"] == 1
    return np.asarray(
        142
        * below ** np.where(female, -0.241, -0.302)
        * above**-1.200
        * 0.9938 ** columns["age_years"]
        * np.where(female, 1.012, 1)
    )


def ckd_epi_2009(columns: Columns) -> Floats:
    """Return the eGFR in mL/min/1.73 m2, shape (people,)."""
    below, above = _relative_creatinine(columns)
    female = columns["sex"] == 1
    return np.asarray(
        141
        * below ** np.where(female, -0.329, -0.411)
        * above**-1.209
        * 0.993 ** columns["age_years"]
        * np.where(female, 1.018, 1)
        * np.where(columns["race"] == 1, 1.159, 1)
    )


GFR_NAMES = ("G1", "G2", "G3a", "G3b", "G4", "G5")
GFR_LOW_EDGES = (90, 60, 45, 30, 15)
"""mL/min/1.73 m2 from which a category begins, in the order of `GFR_NAMES`; KDIGO 2024."""
_MEANINGS = (
    Text("G1, normal or high", "G1期（正常或增高）"),
    Text("G2, mildly decreased", "G2期（轻度下降）"),
    Text("G3a, mildly to moderately decreased", "G3a期（轻中度下降）"),
    Text("G3b, moderately to severely decreased", "G3b期（中重度下降）"),
    Text("G4, severely decreased", "G4期（重度下降）"),
    Text("G5, kidney failure", "G5期（肾衰竭）"),
)
_BANDS = tuple(
    Band(name, meaning, edge, high_risk=name in ("G4", "G5"))
    for name, meaning, edge in reversed(
        list(zip(GFR_NAMES, _MEANINGS, (*GFR_LOW_EDGES, float("-inf")), strict=True))
    )
)
_LIMITS = Text(
    "For stable kidney function; not in acute kidney injury, pregnancy or extremes of muscle mass. "
    "A single value is no diagnosis of chronic kidney disease: it takes three months.",
    "适用于肾功能稳定者，不适用于急性肾损伤、妊娠和肌肉量明显异常者。"
    "单次结果不能诊断慢性肾脏病，须持续3个月以上。",
)


_NEEDS = (
    Need("age_years", low=18),
    Need("sex"),
    Need("creatinine_umol_l"),
    Need("pregnant", required=False, low=0, high=0),
)
SCORE_2021 = Score(
    id="ckd-epi-2021",
    version="2021/creatinine/1",
    title=Text("eGFR, CKD-EPI 2021 (creatinine)", "eGFR（CKD-EPI 2021肌酐公式）"),
    measure=Measure.QUANTITY,
    unit="mL/min/{1.73_m2}",
    scale=Scale.LOG,
    bands=_BANDS,
    guideline=Text("KDIGO 2024, GFR categories", "KDIGO 2024指南GFR分期"),
    outcome=Text("glomerular filtration rate now", "当前肾小球滤过率"),
    population=Text("adults of 18 years and over", "18岁及以上成年人"),
    limits=_LIMITS,
    terms=NO_TERMS_FOUND,
    decimals=0,
    reference={"age_years": 50, "creatinine_umol_l": 70},
    needs=_NEEDS,
    kernel=ckd_epi_2021,
    formula="142 min(Scr/k,1)^a max(Scr/k,1)^-1.200 0.9938^age [1.012 if female], Scr in mg/dL, "
    "k 0.7 F, 0.9 M, a -0.241 F, -0.302 M",
    citation="Inker LA, et al. N Engl J Med 2021;385:1737-49",
    doi="10.1056/NEJMoa2102953",
    verified="kidney.epi 1.4.0 (20 of 20 within 0.005), clincalc 0.4.0 (24 of 24 as integers)",
    loinc="98979-8",
)
SCORE_2009 = replace(
    SCORE_2021,
    id="ckd-epi-2009",
    version="2009/creatinine/1",
    title=Text("eGFR, CKD-EPI 2009 (creatinine)", "eGFR（CKD-EPI 2009肌酐公式）"),
    needs=(*_NEEDS, one_of("race", "white", "black", "other", required=False)),
    kernel=ckd_epi_2009,
    formula="141 min(Scr/k,1)^a max(Scr/k,1)^-1.209 0.993^age [1.018 if female] [1.159 if black], "
    "Scr in mg/dL, k 0.7 F, 0.9 M, a -0.329 F, -0.411 M",
    citation="Levey AS, et al. Ann Intern Med 2009;150:604-12",
    doi="10.7326/0003-4819-150-9-200905050-00006",
    verified="nephro 1.5 (24 of 24 to 5e-7); transplantr",
    deviations="Some laboratories round 141 x 1.018 to 144 for women: up to 0.4 mL/min more. "
    "Without a race the factor for black people is not applied.",
    known_error=0.45,
    loinc="62238-1",
)
