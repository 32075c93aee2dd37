"""SCORE2, SCORE2-OP, SCORE2-Diabetes (ESC) and SCORE2 Asia-Pacific.

SCORE2: Eur Heart J 2021;42:2439-54, doi 10.1093/eurheartj/ehab309. SCORE2-OP: 2021;42:2455-67,
ehab312. SCORE2-Diabetes: 2023;44:2544-56, ehad260. Asia-Pacific: ehae609. The published, rounded
coefficients are used, with which heartscore.org agrees.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.findings import Text
from models.risk.inputs import INPUTS
from models.risk.scales import Scale
from models.risk.score import (
    HDL_BELOW_TOTAL,
    Band,
    Columns,
    Floats,
    Measure,
    Need,
    Score,
    one_of,
)
from models.risk.texts import ANY_STROKE, CORONARY_EVENT, HIGH, INTERMEDIATE, LOW, VERY_HIGH

# All tables: men, women.
# age, smoking, SBP, diabetes, TC, HDL; then age times smoking, SBP, diabetes, TC, HDL; survival.
_SCORE2 = (
    (.3742, .6012, .2777, .6457, .1458, -.2698, -.0755, -.0255, -.0983, -.0281, .0426, .9605),
    (.4648, .7744, .3131, .8096, .1002, -.2606, -.1088, -.0277, -.1272, -.0226, .0613, .9776),
)  # fmt: skip
_DIABETES = (
    (.5368, .4774, .1322, .6457, .1102, -.1087, -.0672, -.0268, -.0983, -.0181, .0095, .9605),
    (.6624, .6139, .1421, .8096, .1127, -.1568, -.1122, -.0167, -.1272, -.0200, .0186, .9776),
)  # fmt: skip
# age at diagnosis, HbA1c, ln eGFR, its square, HbA1c times age, ln eGFR times age.
_DIABETES_MORE = (
    (-.0998, .0955, -.0591, .0058, -.0134, .0115),
    (-.1180, .1173, -.0640, .0062, -.0196, .0169),
)  # fmt: skip
# As _SCORE2, the mean before the survival.
_OLDER = (
    (.0634, .3524, .0094, .4245, .0850, -.3564, -.0247, -.0005, -.0174, .0073, .0091,
     .0929, .7576),
    (.0789, .4921, .0102, .6010, .0605, -.3040, -.0255, -.0004, -.0107, -.0009, .0154,
     .2290, .8082),
)  # fmt: skip
# Recalibration: by sex, by region low, moderate, high, very high: constant, slope.
_SCALES = (
    ((-.5699, .7476), (-.1565, .8009), (.3207, .9360), (.5836, .8294)),
    ((-.7380, .7019), (-.3143, .7701), (.5710, .9369), (.9412, .8329)),
)  # fmt: skip
_OLDER_SCALES = (
    ((-.34, 1.19), (.01, 1.25), (.08, 1.15), (.05, .70)),
    ((-.52, 1.01), (-.10, 1.10), (.38, 1.09), (.38, .69)),
)  # fmt: skip
_ASIA_SCALES = (
    ((-.375229965, .62020875), (.284885676, .778128607),
     (.778231091, .844985356), (.608975204, .679014197)),
    ((-.986572446, .536743779), (.08278687, .718980326),
     (.611474287, .703624072), (.502751798, .555577072)),
)  # fmt: skip

_REGIONS = ("low", "moderate", "high", "very_high")
_FIRST_REGION = INPUTS["region"].choices.index(_REGIONS[0])
_Scales = tuple[tuple[tuple[float, float], ...], ...]


def _predictor(
    c: Columns, terms: Floats, age: Floats, sbp: Floats, hdl: Floats, dm: Floats
) -> Floats:
    """Return the predictor with coefficients of shape (at least 11, people)."""
    a, smk, b, d, t, h, a_smk, a_b, a_d, a_t, a_h = terms[:11]
    total = c["total_cholesterol_mmol_l"] - 6
    return np.asarray(
        a * age
        + c["current_smoker"] * (smk + a_smk * age)
        + sbp * (b + a_b * age)
        + dm * (d + a_d * age)
        + total * (t + a_t * age)
        + hdl * (h + a_h * age)
    )


def _calibrated(c: Columns, log_hazard: Floats, scales: _Scales) -> Floats:
    region = (c["region"] - _FIRST_REGION).astype(np.intp)
    scale = np.array(scales)[c["sex"].astype(np.intp), region]
    return np.asarray(-100 * np.expm1(-np.exp(scale[:, 0] + scale[:, 1] * log_hazard)))


def _of_sex(c: Columns, table: tuple[tuple[float, ...], ...]) -> Floats:
    return np.array(table).T[:, c["sex"].astype(np.intp)]


def _middle_aged(c: Columns, table: tuple[tuple[float, ...], ...], dm: float) -> Floats:
    terms = _of_sex(c, table)
    age, sbp = (c["age_years"] - 60) / 5, (c["sbp_mmhg"] - 120) / 20
    hdl = (c["hdl_cholesterol_mmol_l"] - 1.3) / 0.5
    predictor = _predictor(c, terms, age, sbp, hdl, np.full_like(age, dm))
    return np.asarray(predictor + np.log(-np.log(terms[-1])))


def score2(columns: Columns) -> Floats:
    """Return the ten-year risk in percent, shape (people,)."""
    return _calibrated(columns, _middle_aged(columns, _SCORE2, 0), _SCALES)


def score2_asia_pacific(columns: Columns) -> Floats:
    """Return the ten-year risk in percent, shape (people,)."""
    return _calibrated(columns, _middle_aged(columns, _SCORE2, 0), _ASIA_SCALES)


def score2_diabetes(c: Columns) -> Floats:
    """Return the ten-year risk in percent, shape (people,)."""
    onset, hba1c_term, gfr_term, gfr_square, hba1c_age, gfr_age = _of_sex(c, _DIABETES_MORE)
    age = (c["age_years"] - 60) / 5
    hba1c = ((c["hba1c_percent"] - 2.15) * 10.929 - 31) / 9.34
    gfr = (np.log(c["egfr_ml_min_1_73m2"]) - 4.5) / 0.15
    log_hazard = (
        _middle_aged(c, _DIABETES, 1)
        + onset * (c["age_at_diabetes_diagnosis_years"] - 50) / 5
        + hba1c * (hba1c_term + hba1c_age * age)
        + gfr * (gfr_term + gfr_square * gfr + gfr_age * age)
    )
    return _calibrated(c, log_hazard, _SCALES)


def score2_op(c: Columns) -> Floats:
    """Return the ten-year risk in percent, shape (people,)."""
    terms = _of_sex(c, _OLDER)
    age, sbp = c["age_years"] - 73, c["sbp_mmhg"] - 150
    predictor = _predictor(c, terms, age, sbp, c["hdl_cholesterol_mmol_l"] - 1.4, c["diabetes"])
    log_hazard = predictor - terms[-2] + np.log(-np.log(terms[-1]))
    return _calibrated(c, log_hazard, _OLDER_SCALES)


def _edges(age: float) -> tuple[float, float]:
    return (2.5, 7.5) if age < 50 else (5, 10) if age < 70 else (7.5, 15)


def _esc_bands(values: Floats, c: Columns) -> NDArray[np.intp]:
    age = c["age_years"]
    lower = np.where(age < 50, 2.5, np.where(age < 70, 5, 7.5))
    upper = np.where(age < 50, 7.5, np.where(age < 70, 10, 15))
    return (values >= lower).astype(np.intp) + (values >= upper)


_ESC_BANDS = (
    Band("low_to_moderate", Text("low to moderate", "中低危")),
    Band("high", HIGH, high_risk=True),
    Band("very_high", VERY_HIGH, high_risk=True),
)
_FIXED_BANDS = (
    Band("low", LOW),
    Band("moderate", INTERMEDIATE, 5),
    Band("high", HIGH, 10, high_risk=True),
    Band("very_high", VERY_HIGH, 20, high_risk=True),
)
_LIPIDS = (Need("total_cholesterol_mmol_l"), Need("hdl_cholesterol_mmol_l"))
_NEEDS = (
    Need("sex"),
    Need("sbp_mmhg", low=70, high=270),
    *_LIPIDS,
    Need("current_smoker"),
    one_of("region", *_REGIONS),
    Need("established_ascvd", required=False, low=0, high=0),
)
_MIDDLE_AGE = Need("age_years", low=40, high=70, below=True)
_WITHOUT_DIABETES = Need("diabetes", required=False, low=0, high=0)
_TERMS = Text(
    "The ESC publishes the model openly; HeartScore is its tool and mark. No restriction was "
    "found, nor a permission.",
    "ESC公开发表该模型；HeartScore为ESC的工具和标识。未见限制条款，也未见明确许可。",
)
_OFF = Text(
    "European regions do not fit China, and China's region is not confirmed.",
    "欧洲区域系数不适合中国，中国所属区域尚未确认。",
)
_REFERENCE = {
    "age_years": 60,
    "sbp_mmhg": 120,
    "total_cholesterol_mmol_l": 4.5,
    "hdl_cholesterol_mmol_l": 1.3,
    "current_smoker": 0,
    "diabetes": 0,
    "age_at_diabetes_diagnosis_years": 60,
    "hba1c_percent": 6.5,
    "egfr_ml_min_1_73m2": 90,
}


SCORE2 = Score(
    id="score2",
    title=Text("SCORE2 cardiovascular risk", "SCORE2心血管病10年风险（ESC）"),
    measure=Measure.PROBABILITY,
    unit="%",
    scale=Scale.LOG_HAZARD,
    horizon_years=10,
    rules=(HDL_BELOW_TOTAL,),
    outcome=Text(
        "fatal and non-fatal cardiovascular disease (infarction, stroke, cardiovascular death)",
        "致死性和非致死性心血管病（心肌梗死、脑卒中、心血管死亡）",
    ),
    outcome_codes=(CORONARY_EVENT, ANY_STROKE),
    citation="SCORE2 working group. Eur Heart J 2021;42:2439-54",
    doi="10.1093/eurheartj/ehab309",
    terms=_TERMS,
    off_because=_OFF,
    reference=_REFERENCE,
    levers=("sbp_mmhg", "total_cholesterol_mmol_l", "current_smoker"),
    formula="1 - exp(-exp(s1 + s2 ln(-ln(1 - p0)))), p0 = 1 - S^exp(LP), LP linear with age "
    "interactions; by sex and region",
    version="2021/1",
    needs=(_MIDDLE_AGE, *_NEEDS, _WITHOUT_DIABETES),
    kernel=score2,
    bands=_ESC_BANDS,
    choose_bands=_esc_bands,
    edges_of=lambda c: _edges(float(c["age_years"][0])),
    guideline=Text(
        "ESC 2021 prevention: 2.5 and 7.5 below 50 years, 5 and 10 from 50 to 69",
        "ESC 2021心血管病预防指南（<50岁2.5%、7.5%；50–69岁5%、10%）",
    ),
    population=Text(
        "Europeans of 40 to 69 years without cardiovascular disease or diabetes, by risk region",
        "40–69岁、无心血管病和糖尿病的欧洲人群，按风险区域",
    ),
    limits=Text("European regions; not for China.", "按欧洲风险区域校准，不适用于中国。"),
    verified="the paper's and heartscore.org's values and 28 runs of RiskScorescvd within 0.05",
)
SCORE2_OP = replace(
    SCORE2,
    id="score2-op",
    title=Text("SCORE2-OP cardiovascular risk", "SCORE2-OP心血管病10年风险（ESC）"),
    citation="SCORE2-OP working group. Eur Heart J 2021;42:2455-67",
    doi="10.1093/eurheartj/ehab312",
    version="2021/published-rounded/1",
    needs=(
        Need("age_years", low=70, high=90, below=True),
        *_NEEDS,
        Need("diabetes"),
    ),
    kernel=score2_op,
    bands=_ESC_BANDS,
    choose_bands=_esc_bands,
    edges_of=lambda c: _edges(float(c["age_years"][0])),
    guideline=Text(
        "ESC 2021 prevention: 7.5 and 15 from 70 years",
        "ESC 2021心血管病预防指南（≥70岁7.5%、15%）",
    ),
    population=Text(
        "Europeans of 70 to 89 years without cardiovascular disease",
        "70–89岁、无心血管病的欧洲人群",
    ),
    limits=Text("European regions; not for China.", "按欧洲风险区域校准，不适用于中国。"),
    verified="heartscore.org's values and 18 runs of RiskScorescvd within 0.05",
    deviations="The full-precision set of the official program differs by up to 1.1 points at high "
    "risk; heartscore.org agrees with the rounded one.",
    known_error=1.1,
)
SCORE2_DIABETES = replace(
    SCORE2,
    id="score2-diabetes",
    title=Text("SCORE2-Diabetes cardiovascular risk", "SCORE2-Diabetes心血管病10年风险（ESC）"),
    citation="SCORE2-Diabetes working group. Eur Heart J 2023;44:2544-56",
    doi="10.1093/eurheartj/ehad260",
    choose_bands=None,
    edges_of=None,
    version="2023/1",
    needs=(
        _MIDDLE_AGE,
        *_NEEDS,
        Need("hba1c_percent"),
        Need("egfr_ml_min_1_73m2"),
        Need("age_at_diabetes_diagnosis_years"),
        Need("diabetes", required=False, low=1, high=1),
    ),
    kernel=score2_diabetes,
    bands=_FIXED_BANDS,
    guideline=Text("ESC 2023 diabetes: 5, 10 and 20 %", "ESC 2023糖尿病指南（5%、10%、20%）"),
    population=Text(
        "Europeans of 40 to 69 years with type 2 diabetes and no cardiovascular disease",
        "40–69岁、患2型糖尿病且无心血管病的欧洲人群",
    ),
    limits=Text("European regions; not for China.", "按欧洲风险区域校准，不适用于中国。"),
    verified="9 values of the paper's figure and 24 runs of RiskScorescvd within 0.05",
    deviations="The official program builds it from SCORE2 and increments: 1e-4 in some terms.",
)
SCORE2_ASIA_PACIFIC = replace(
    SCORE2,
    id="score2-asia-pacific",
    title=Text(
        "SCORE2 Asia-Pacific cardiovascular risk", "SCORE2 Asia-Pacific心血管病10年风险（ESC）"
    ),
    citation="SCORE2 Asia-Pacific writing group. Eur Heart J 2025;46:702-15",
    doi="10.1093/eurheartj/ehae609",
    choose_bands=None,
    edges_of=None,
    version="2024/1",
    needs=(_MIDDLE_AGE, *_NEEDS, _WITHOUT_DIABETES),
    kernel=score2_asia_pacific,
    bands=_FIXED_BANDS,
    guideline=Text("limits 5, 10 and 20 %", "5%、10%、20%切点"),
    population=Text(
        "adults of 40 to 69 years of the Asia-Pacific region without cardiovascular disease or "
        "diabetes",
        "40–69岁、无心血管病和糖尿病的亚太地区成年人",
    ),
    limits=Text(
        "The region to which China belongs is not confirmed.", "中国所属风险区域尚未确认。"
    ),
    verified="5 values of the abstract's figure and 23 runs of RiskScorescvd within 0.05",
    deviations="The 'Asia' scales in the official program are work in progress and are not used.",
)
