"""China-PAR: ten-year risk of atherosclerotic cardiovascular disease in Chinese adults.

Yang X, Li J, Hu D, et al. Circulation 2016;134:1430-1440, doi 10.1161/CIRCULATIONAHA.116.022367;
coefficients with three decimals from the group standard T/JPMA 024-2024, appendices C and D. The
paper's two decimals shift the risk by up to 2.6 points, and its survival of women (0.99) is a
misprint, so the three decimals are used.
"""

from math import log

import numpy as np

from models.findings import Text
from models.risk.inputs import MG_DL_PER_MMOL_L_CHOLESTEROL
from models.risk.scales import Scale
from models.risk.score import (
    HDL_BELOW_TOTAL,
    Band,
    Columns,
    Floats,
    Measure,
    Need,
    Rule,
    Score,
    Status,
)
from models.risk.texts import (
    ANY_STROKE,
    CORONARY_EVENT,
    HIGH,
    INTERMEDIATE,
    LOW,
)

_MEN_MEAN, _MEN_S10 = 140.68, 0.9707
_WOMEN_MEAN, _WOMEN_S10 = 117.26, 0.9851
_LN_MG_DL = log(MG_DL_PER_MMOL_L_CHOLESTEROL)


def china_par(columns: Columns) -> Floats:
    """Return the ten-year risk in percent, shape (people,)."""
    age = np.log(columns["age_years"])
    sbp = np.log(columns["sbp_mmhg"])
    total = np.log(columns["total_cholesterol_mmol_l"]) + _LN_MG_DL
    hdl = np.log(columns["hdl_cholesterol_mmol_l"]) + _LN_MG_DL
    waist = np.log(columns["waist_cm"])
    smoker, diabetes = columns["current_smoker"], columns["diabetes"]
    treated = columns["antihypertensive_treatment"]
    north, urban = 1 - columns["region_of_china"], 1 - columns["residence"]
    family = columns["family_history_ascvd"]
    men = (
        31.967 * age
        + sbp * (26.148 + 1.240 * treated - (5.731 + 0.287 * treated) * age)
        + 0.621 * total
        - 0.695 * hdl
        - 0.712 * waist
        + smoker * (3.955 - 0.939 * age)
        + 0.357 * diabetes
        + 0.475 * north
        - 0.164 * urban
        + family * (6.221 - 1.534 * age)
        - (_MEN_MEAN - log(-log(_MEN_S10)))
    )
    women = (
        24.874 * age
        + sbp * (19.982 + 0.727 * treated - (4.360 + 0.168 * treated) * age)
        + 0.058 * total
        - 0.217 * hdl
        + 1.475 * waist
        + 0.495 * smoker
        + 0.567 * diabetes
        + 0.544 * north
        - (_WOMEN_MEAN - log(-log(_WOMEN_S10)))
    )
    log_hazard = np.where(columns["sex"] == 0, men, women)
    return -100 * np.expm1(-np.exp(log_hazard))


def _men_need(name: str, told: Text) -> Rule:
    return Rule(
        Status.MISSING, name, lambda columns: np.isnan(columns[name]) & (columns["sex"] == 0), told
    )


SCORE = Score(
    id="china-par",
    version="2016/T-JPMA-024-2024/1",
    title=Text("China-PAR 10-year ASCVD risk", "China-PAR心血管病10年发病风险"),
    measure=Measure.PROBABILITY,
    unit="%",
    scale=Scale.LOG_HAZARD,
    horizon_years=10,
    needs=(
        # The guideline of 2019 uses it from 20 years; above 74 it is carried on, and marked.
        Need("age_years", low=35, high=74, wider_low=20, wider_high=100),
        Need("sex"),
        Need("sbp_mmhg", low=70, high=270),
        Need("total_cholesterol_mmol_l"),
        Need("hdl_cholesterol_mmol_l"),
        Need("waist_cm", low=40, high=200),
        Need("current_smoker"),
        Need("diabetes"),
        Need("antihypertensive_treatment"),
        Need("region_of_china"),
        Need("residence", required=False),
        Need("family_history_ascvd", required=False),
        Need("established_ascvd", required=False, low=0, high=0),
    ),
    rules=(
        HDL_BELOW_TOTAL,
        _men_need(
            "residence",
            Text(
                "Urban or rural residence (residence) is missing; the equation for men needs it.",
                "缺少城乡（residence），男性公式需要此项（urban城市或rural农村）。",
            ),
        ),
        _men_need(
            "family_history_ascvd",
            Text(
                "ASCVD in parents or siblings (family_history_ascvd) is missing; "
                "the equation for men needs it.",
                "缺少父母或兄弟姐妹心脑血管病史（family_history_ascvd），男性公式需要此项。",
            ),
        ),
    ),
    kernel=china_par,
    bands=(
        Band("low", LOW),
        Band("intermediate", INTERMEDIATE, 5),
        Band("high", HIGH, 10, high_risk=True),
    ),
    guideline=Text(
        "Guideline on the assessment and management of cardiovascular risk in China (2019)",
        "《中国心血管病风险评估和管理指南》（2019）",
    ),
    outcome=Text(
        "first non-fatal acute myocardial infarction, coronary death, or fatal or non-fatal stroke",
        "首次发生急性心肌梗死、冠心病死亡或致死性、非致死性脑卒中（含出血性）",
    ),
    outcome_codes=(CORONARY_EVENT, ANY_STROKE),
    population=Text(
        "Chinese adults of 35 to 74 years without cardiovascular disease (InterASIA, China MUCA)",
        "35–74岁、无心血管病的中国成年人（InterASIA和China MUCA队列）",
    ),
    limits=Text(
        "From 20 to 34 and above 74 years the value is extrapolated. In men a larger waist lowers "
        "the risk in this equation, so waist is no lever there. The official calculator is "
        "at cvdrisk.com.cn.",
        "20–34岁及74岁以上为外推值。本公式中男性腰围系数为负，不能据此推断腰围变化对风险的影响。"
        "官方评估工具见cvdrisk.com.cn。",
    ),
    formula="1 - S10^exp(X - mean), X linear in logarithms with ln age interactions; by sex",
    citation="Yang X, Li J, Hu D, et al. Circulation 2016;134:1430-1440; T/JPMA 024-2024 app. C, D",
    doi="10.1161/CIRCULATIONAHA.116.022367",
    terms=Text(
        "Paper (c) AHA; the official web tool is free. Nothing was found that forbids another "
        "implementation.",
        "论文版权归AHA；官方网络工具可免费使用，未见禁止另行实现的条款。",
    ),
    verified="The paper's Table 2 within 0.3 percentage points; the guideline's example 4.7 %; "
    "a second program with the three-decimal coefficients within 0.05 points",
    deviations="Coefficients printed with two decimals differ by up to 2.6 points and change the "
    "category of 5.7 % of untreated men; the printed survival of women, 0.99, is wrong. Public "
    "copies with S10 0.9904 and no treated branch, or with ln TC 0.16, are wrong.",
    known_error=0.3,
    reference={
        "age_years": 50,
        "sbp_mmhg": 120,
        "total_cholesterol_mmol_l": 4.5,
        "hdl_cholesterol_mmol_l": 1.3,
        "waist_cm": 80,
        "current_smoker": 0,
        "diabetes": 0,
        "antihypertensive_treatment": 0,
        "region_of_china": 1,
        "residence": 1,
        "family_history_ascvd": 0,
    },
    levers=("sbp_mmhg", "total_cholesterol_mmol_l", "current_smoker", "waist_cm"),
    not_levers=(("waist_cm", "male"),),
    loinc=None,
    column_names={"fh": "family_history_ascvd"},
)
