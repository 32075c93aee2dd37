"""Pooled cohort equations (ACC/AHA 2013).

Goff DC, et al. Circulation 2014;129(25 suppl 2):S49-73, doi 10.1161/01.cir.0000437741.48606.98; the
printed coefficients.
"""

from math import log

import numpy as np

from models.findings import Text
from models.risk.inputs import MG_DL_PER_MMOL_L_CHOLESTEROL
from models.risk.scales import Scale
from models.risk.score import HDL_BELOW_TOTAL, Columns, Floats, Measure, Need, Score
from models.risk.texts import ANY_STROKE, CORONARY_EVENT, NO_TERMS_FOUND, US_BANDS

# Order of the columns: white women, black women, white men, black men.
_TERMS = {
    "age": (-29.799, 17.114, 12.344, 2.469),
    "age_age": (4.884, 0, 0, 0),
    "total": (13.540, 0.940, 11.853, 0.302),
    "age_total": (-3.114, 0, -2.664, 0),
    "hdl": (-13.578, -18.920, -7.990, -0.307),
    "age_hdl": (3.149, 4.475, 1.769, 0),
    "treated": (2.019, 29.291, 1.797, 1.916),
    "age_treated": (0, -6.432, 0, 0),
    "untreated": (1.957, 27.820, 1.764, 1.809),
    "age_untreated": (0, -6.087, 0, 0),
    "smoker": (7.574, 0.691, 7.837, 0.549),
    "age_smoker": (-1.665, 0, -1.795, 0),
    "diabetes": (0.661, 0.874, 0.658, 0.645),
}
_MEANS = (-29.18, 86.61, 61.18, 19.54)
_SURVIVAL = (0.9665, 0.9533, 0.9144, 0.8954)


def pooled_cohort(columns: Columns) -> Floats:
    """Return the ten-year risk in percent, shape (people,). Other races: as white."""
    age = np.log(columns["age_years"])
    mg_dl = log(MG_DL_PER_MMOL_L_CHOLESTEROL)
    total = np.log(columns["total_cholesterol_mmol_l"]) + mg_dl
    hdl = np.log(columns["hdl_cholesterol_mmol_l"]) + mg_dl
    sbp = np.log(columns["sbp_mmhg"])
    treated = sbp * columns["antihypertensive_treatment"]
    smoker = columns["current_smoker"]
    values = {
        "age": age,
        "age_age": age * age,
        "total": total,
        "age_total": age * total,
        "hdl": hdl,
        "age_hdl": age * hdl,
        "treated": treated,
        "age_treated": age * treated,
        "untreated": sbp - treated,
        "age_untreated": age * (sbp - treated),
        "smoker": smoker,
        "age_smoker": age * smoker,
        "diabetes": columns["diabetes"],
    }
    group = (2 * (columns["sex"] == 0) + (columns["race"] == 1)).astype(np.intp)
    predictor = -np.array(_MEANS)[group]
    for name, value in values.items():
        predictor += np.array(_TERMS[name])[group] * value
    return np.asarray(-100 * np.expm1(np.log(np.array(_SURVIVAL))[group] * np.exp(predictor)))


SCORE = Score(
    id="pce-2013",
    version="2013/1",
    title=Text("Pooled cohort equations 2013", "汇集队列方程（PCE 2013，美国）"),
    measure=Measure.PROBABILITY,
    unit="%",
    scale=Scale.LOG_HAZARD,
    horizon_years=10,
    needs=(
        Need("age_years", low=40, high=80, below=True),
        Need("sex"),
        Need("race"),
        Need("total_cholesterol_mmol_l", low=3.36, high=8.28),
        Need("hdl_cholesterol_mmol_l", low=0.51, high=2.59),
        Need("sbp_mmhg", low=90, high=200),
        Need("antihypertensive_treatment"),
        Need("current_smoker"),
        Need("diabetes"),
        Need("established_ascvd", required=False, low=0, high=0),
    ),
    rules=(HDL_BELOW_TOTAL,),
    kernel=pooled_cohort,
    bands=US_BANDS,
    guideline=Text("ACC/AHA, limits 5, 7.5 and 20 %", "ACC/AHA指南（5%、7.5%、20%切点）"),
    outcome=Text(
        "non-fatal myocardial infarction, coronary death, fatal or non-fatal stroke",
        "非致死性心肌梗死、冠心病死亡、致死性或非致死性脑卒中",
    ),
    outcome_codes=(CORONARY_EVENT, ANY_STROKE),
    population=Text(
        "US black and white adults of 40 to 79 years without cardiovascular disease",
        "40–79岁、无心血管病的美国黑人和白人",
    ),
    limits=Text(
        "Over-estimates in Chinese people; superseded by PREVENT. Other races take the equation "
        "for white people.",
        "高估中国人群风险；已被PREVENT取代。其他种族使用白人系数。",
    ),
    formula="1 - S10^exp(X - mean), X linear in logarithms; by sex and race",
    citation="Goff DC, et al. Circulation 2014;129(25 suppl 2):S49-73",
    doi="10.1161/01.cir.0000437741.48606.98",
    terms=NO_TERMS_FOUND,
    verified="CVrisk 1.2.0 (29 of 29), clincalc (32 of 32), the paper's examples",
    deviations="A set with 4 to 5 digits (PooledCohort) differs by up to 0.3 points; the published "
    "5.3 % of white men is a truncation of 5.38; CVrisk reports 1 % for anything below.",
    off_because=Text(
        "It over-estimates in Chinese people, asks for a race and is superseded.",
        "高估中国人群风险，需要种族信息，且已被取代。",
    ),
    known_error=0.3,
    reference={
        "age_years": 55,
        "total_cholesterol_mmol_l": 4.4,
        "hdl_cholesterol_mmol_l": 1.3,
        "sbp_mmhg": 120,
        "antihypertensive_treatment": 0,
        "current_smoker": 0,
        "diabetes": 0,
    },
    levers=("sbp_mmhg", "total_cholesterol_mmol_l", "current_smoker"),
    loinc="79423-0",
)
