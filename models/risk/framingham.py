"""Framingham: general cardiovascular disease (2008) and incident hypertension (2008).

D'Agostino RB, et al. Circulation 2008;117:743-53, doi 10.1161/CIRCULATIONAHA.107.699579.
Parikh NI, et al. Ann Intern Med 2008;148:102-10, doi 10.7326/0003-4819-148-2-200801150-00005.
"""

from math import log

import numpy as np

from models.findings import Text
from models.risk.inputs import MG_DL_PER_MMOL_L_CHOLESTEROL
from models.risk.scales import Scale
from models.risk.score import (
    DIASTOLIC_BELOW_SYSTOLIC,
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
    HEART_FAILURE,
    HYPERTENSION,
    NO_BANDS,
    NO_TERMS_FOUND,
)

# Men, women: ln age, ln TC, ln HDL, ln SBP treated, untreated, smoking, diabetes, mean, survival.
_LIPIDS = (
    (3.06117, 1.12370, -0.93263, 1.99881, 1.93303, 0.65451, 0.57367, 23.9802, 0.88936),
    (2.32888, 1.20904, -0.70833, 2.82263, 2.76157, 0.52873, 0.69154, 26.1931, 0.95012),
)
# Men, women: ln age, ln BMI, ln SBP treated, untreated, smoking, diabetes, mean, survival.
_BMI = (
    (3.11296, 0.79277, 1.92672, 1.85508, 0.70953, 0.53160, 23.9388, 0.88431),
    (2.72107, 0.51125, 2.88267, 2.81291, 0.61868, 0.77763, 26.0145, 0.94833),
)


def _by_sex(c: Columns, table: tuple[tuple[float, ...], ...], *body: Floats) -> Floats:
    sex = c["sex"].astype(np.intp)
    terms = np.array(table).T[:, sex]
    sbp, treated = np.log(c["sbp_mmhg"]), c["antihypertensive_treatment"]
    values = (
        np.log(c["age_years"]),
        *body,
        sbp * treated,
        sbp * (1 - treated),
        c["current_smoker"],
        c["diabetes"],
    )
    predictor = sum(term * value for term, value in zip(terms, values, strict=False)) - terms[-2]
    return np.asarray(-100 * np.expm1(np.log(terms[-1]) * np.exp(predictor)))


def framingham_cvd(columns: Columns) -> Floats:
    """Return the ten-year risk in percent, shape (people,): with lipids, else with BMI."""
    mg_dl = log(MG_DL_PER_MMOL_L_CHOLESTEROL)
    total = np.log(columns["total_cholesterol_mmol_l"]) + mg_dl
    hdl = np.log(columns["hdl_cholesterol_mmol_l"]) + mg_dl
    by_lipids = _by_sex(columns, _LIPIDS, total, hdl)
    by_bmi = _by_sex(columns, _BMI, np.log(columns["bmi_kg_m2"]))
    return np.where(np.isnan(by_lipids), by_bmi, by_lipids)


def framingham_hypertension(c: Columns) -> Floats:
    """Return the risk in percent within 1, 2 or 4 years, shape (people,)."""
    predictor = (
        22.949536
        - 0.156412 * c["age_years"]
        - 0.202933 * (c["sex"] == 1)
        - 0.033881 * c["bmi_kg_m2"]
        - 0.05933 * c["sbp_mmhg"]
        - 0.128468 * c["dbp_mmhg"]
        - 0.190731 * c["current_smoker"]
        - 0.166121 * c["parents_with_hypertension"]
        + 0.001624 * c["age_years"] * c["dbp_mmhg"]
    )
    return np.asarray(-100 * np.expm1(-np.exp((np.log(c["horizon_years"]) - predictor) / 0.876925)))


_LIPIDS_OR_BMI = Rule(
    Status.MISSING,
    "total_cholesterol_mmol_l",
    lambda c: (
        np.isnan(c["bmi_kg_m2"])
        & (np.isnan(c["total_cholesterol_mmol_l"]) | np.isnan(c["hdl_cholesterol_mmol_l"]))
    ),
    Text(
        "Total and HDL cholesterol are missing, and BMI too; it takes the lipids, or BMI instead.",
        "缺少总胆固醇和高密度脂蛋白胆固醇，也缺少BMI；须提供血脂或BMI。",
    ),
)
CVD = Score(
    id="framingham-cvd",
    version="2008/1",
    title=Text("Framingham general CVD risk", "Framingham心血管病风险（2008）"),
    measure=Measure.PROBABILITY,
    unit="%",
    scale=Scale.LOG_HAZARD,
    horizon_years=10,
    needs=(
        Need("age_years", low=30, high=74),
        Need("sex"),
        Need("total_cholesterol_mmol_l", required=False),
        Need("hdl_cholesterol_mmol_l", required=False),
        Need("bmi_kg_m2", required=False, low=10, high=80),
        Need("sbp_mmhg", low=70, high=270),
        Need("antihypertensive_treatment"),
        Need("current_smoker"),
        Need("diabetes"),
        Need("established_ascvd", required=False, low=0, high=0),
    ),
    rules=(_LIPIDS_OR_BMI,),
    kernel=framingham_cvd,
    bands=(),
    guideline=NO_BANDS,
    outcome=Text(
        "coronary disease, stroke, peripheral artery disease or heart failure",
        "冠心病、脑卒中、外周动脉疾病或心力衰竭",
    ),
    outcome_codes=(CORONARY_EVENT, ANY_STROKE, HEART_FAILURE),
    population=Text(
        "US adults (Framingham) of 30 to 74 years without cardiovascular disease",
        "30–74岁、无心血管病的美国成年人（Framingham队列）",
    ),
    limits=Text(
        "Over-estimates in China; for teaching and comparison with older records. Where lipids are "
        "missing the equation with BMI is used.",
        "高估中国人群风险，仅供教学和与既往记录对照。缺少血脂时使用BMI公式。",
    ),
    formula="1 - S10^exp(X - mean), X linear in logarithms; by sex; with lipids, or with BMI",
    citation="D'Agostino RB, et al. Circulation 2008;117:743-53",
    doi="10.1161/CIRCULATIONAHA.107.699579",
    terms=NO_TERMS_FOUND,
    verified="CVrisk 1.2.0 (19 runs within 0.005 points), from which the coefficients were read; "
    "two recalled examples of the paper",
    deviations="CVrisk floors below 1 % and caps its BMI model at 30 %.",
    off_because=Text("It over-estimates in Chinese people.", "高估中国人群风险。"),
    reference={
        "age_years": 50,
        "total_cholesterol_mmol_l": 4.5,
        "hdl_cholesterol_mmol_l": 1.3,
        "bmi_kg_m2": 22.5,
        "sbp_mmhg": 120,
        "antihypertensive_treatment": 0,
        "current_smoker": 0,
        "diabetes": 0,
    },
    levers=("sbp_mmhg", "total_cholesterol_mmol_l", "current_smoker"),
)
HYPERTENSION_RISK = Score(
    id="framingham-hypertension",
    version="2008/1",
    title=Text("Framingham incident hypertension", "Framingham新发高血压风险"),
    measure=Measure.PROBABILITY,
    unit="%",
    scale=Scale.LOG_HAZARD,
    needs=(
        Need("age_years", low=20, high=80),
        Need("sex"),
        Need("bmi_kg_m2"),
        Need("sbp_mmhg", high=140, below=True),
        Need("dbp_mmhg", high=90, below=True),
        Need("current_smoker"),
        Need("parents_with_hypertension"),
        Need("horizon_years", default=4),
        Need("antihypertensive_treatment", required=False, low=0, high=0),
        Need("diabetes", required=False, low=0, high=0),
    ),
    rules=(
        DIASTOLIC_BELOW_SYSTOLIC,
        Rule(
            Status.OUT_OF_POPULATION,
            "horizon_years",
            lambda c: ~np.isin(c["horizon_years"], (1, 2, 4)),
            Text(
                "The equation tells the risk within 1, 2 or 4 years (horizon_years).",
                "本公式仅预测1、2或4年风险（horizon_years取1、2或4）。",
            ),
        ),
    ),
    kernel=framingham_hypertension,
    bands=(),
    guideline=NO_BANDS,
    outcome=Text("hypertension", "新发高血压"),
    outcome_codes=(HYPERTENSION,),
    population=Text(
        "US adults of 20 to 80 years without hypertension, its treatment or diabetes",
        "20–80岁、无高血压、未服降压药且无糖尿病的美国成年人",
    ),
    limits=Text("Not validated in China.", "未在中国人群中验证。"),
    formula="1 - exp(-exp((ln t - b) / 0.876925)), b linear with age x diastolic pressure",
    citation="Parikh NI, et al. Ann Intern Med 2008;148:102-10",
    doi="10.7326/0003-4819-148-2-200801150-00005",
    terms=NO_TERMS_FOUND,
    verified="five agreeing public copies; no published value",
    deviations="A sixth public copy has a parenthesis in the wrong place.",
    off_because=Text(
        "No published value could be checked, and it was made for the USA.",
        "无已发表数值可供核对，且为美国人群制定。",
    ),
    reference={
        "age_years": 40,
        "bmi_kg_m2": 22.5,
        "sbp_mmhg": 115,
        "dbp_mmhg": 75,
        "current_smoker": 0,
        "parents_with_hypertension": 0,
    },
    levers=("bmi_kg_m2", "current_smoker"),
)
