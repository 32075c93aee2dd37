"""WHO cardiovascular disease risk 2019, laboratory and non-laboratory models, all WHO regions.

WHO CVD Risk Chart Working Group. Lancet Glob Health 2019;7:e1332-45,
doi 10.1016/S2214-109X(19)30318-3. Recalibration to the incidence of 2017 by country. The charts'
bins are a property of the printed charts; the continuous equation is used.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import log

import numpy as np

from models.findings import Text
from models.risk.coefficients import who_recalibration
from models.risk.scales import Scale
from models.risk.score import Band, Columns, Floats, Measure, Need, Score
from models.risk.texts import ANY_STROKE, CORONARY_EVENT

# Per endpoint: men, women. Predictors age - 60, TC - 6 or BMI - 25, SBP - 120, diabetes, smoking;
# then age times each of the other four in the same order; then the survival S0.
_LAB = {
    "chd": (
        (.0719227, .2284944, .0132183, .6410114, .5638109,
         -.0045806, -.0001576, -.0124966, -.0182545, .9540108),
        (.1020713, .2050377, .0158230, 1.070358, 1.053223,
         -.0051932, -.0001378, -.0234174, -.0332666, .9894159),
    ),
    "stroke": (
        (.0986578, .0295260, .0222629, .6268712, .4981217,
         .0014200, -.0004147, -.0263020, -.0150561, .9849257),
        (.1056632, .0257782, .0206278, .8581998, .7443627,
         -.0021387, -.0004897, -.0209826, -.0200822, .9890569),
    ),
}  # fmt: skip
_NONLAB = {
    "chd": (
        (.0735930, .0337219, .0133937, 0, .5954767,
         -.0010432, -.0001837, 0, -.0200831, .9544258),
        (.1049418, .0257616, .0167260, 0, 1.093132,
         -.0006537, -.0001966, 0, -.0343739, .9887124),
    ),
    "stroke": (
        (.0976740, .0159518, .0227294, 0, .4999862,
         -.0003516, -.0004374, 0, -.0153895, .9848260),
        (.1046105, .0036406, .0216741, 0, .7399405,
         -.0000129, -.0005311, 0, -.0203997, .9885706),
    ),
}  # fmt: skip
_Table = Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]


def _predictor(
    terms: tuple[float, ...], age: Floats, body: Floats, sbp: Floats, dm: Floats, smoker: Floats
) -> Floats:
    """Return ln(-ln(1 - p0)), where p0 is the risk before recalibration."""
    a, b, s, d, k, ab, a_s, ad, ak, survival = terms
    return (
        a * age
        + body * (b + ab * age)
        + sbp * (s + a_s * age)
        + dm * (d + ad * age)
        + smoker * (k + ak * age)
        + log(-log(survival))
    )


def _risk(columns: Columns, table: _Table, model: str, body: Floats, dm: Floats) -> Floats:
    age, sbp = columns["age_years"] - 60, columns["sbp_mmhg"] - 120
    smoker, female = columns["current_smoker"], columns["sex"] == 1
    place = columns["country"].astype(np.intp)
    place[female] += who_recalibration(model, "chd").shape[2]
    hazard = np.zeros(age.shape)
    for endpoint, (men, women) in table.items():
        predictor = np.where(
            female,
            _predictor(women, age, body, sbp, dm, smoker),
            _predictor(men, age, body, sbp, dm, smoker),
        )
        constant, slope = who_recalibration(model, endpoint).reshape(2, -1)
        # Recalibrated risk 1 - exp(-exp(constant + slope * predictor)); hazards add up, since the
        # two risks are combined as 1 - (1 - p_chd)(1 - p_stroke).
        hazard += np.exp(constant[place] + slope[place] * predictor)
    return -100 * np.expm1(-hazard)


def who_cvd_lab(columns: Columns) -> Floats:
    """Return the ten-year risk in percent by the laboratory model, shape (people,)."""
    body = columns["total_cholesterol_mmol_l"] - 6
    return _risk(columns, _LAB, "lab", body, columns["diabetes"])


def who_cvd_nonlab(columns: Columns) -> Floats:
    """Return the ten-year risk in percent by the non-laboratory model, shape (people,)."""
    body = columns["bmi_kg_m2"] - 25
    return _risk(columns, _NONLAB, "nonlab", body, np.zeros_like(body))


_BANDS = (
    Band("below_5", Text("below 5 %", "<5%")),
    Band("5_to_10", Text("5 to below 10 %", "5%–<10%"), 5),
    Band("10_to_20", Text("10 to below 20 %", "10%–<20%"), 10),
    Band("20_to_30", Text("20 to below 30 %", "20%–<30%"), 20, high_risk=True),
    Band("30_or_more", Text("30 % or more", "≥30%"), 30, high_risk=True),
)
_NEEDS = (
    # The charts go to 74; the equation was derived to 80.
    Need("age_years", low=40, high=74, wider_high=80),
    Need("sex"),
    Need("country"),
    Need("sbp_mmhg", low=70, high=270),
    Need("current_smoker"),
    Need("established_ascvd", required=False, low=0, high=0),
)
_REFERENCE = {"age_years": 60, "sbp_mmhg": 120, "current_smoker": 0, "diabetes": 0}
_LIMITS = Text(
    "Ages 75 to 80 are extrapolated beyond the charts. A printed chart shows the middle of a range "
    "of ages and pressures, so it may differ from this value by several points. In Chinese cohorts "
    "China-PAR did better.",
    "75–80岁超出风险图范围，为外推值。纸质风险图按区间中点取值，可能与本结果相差数个百分点。"
    "在中国人群中China-PAR的表现更好。",
)
_TERMS = Text(
    "Paper open access (CC BY 4.0 as published). The words and colour charts of WHO HEARTS are "
    "CC BY-NC-SA 3.0 IGO and are not reproduced here.",
    "论文为开放获取（发表时为CC BY 4.0）。WHO HEARTS的文字和彩色风险图为CC BY-NC-SA 3.0 IGO许可，"
    "此处未使用。",
)
_DEVIATIONS = (
    "Five cells of a public transcription of the charts are slips. CRAN WHORiskCalculator takes "
    "incidence for survival; a TypeScript copy has invented factors; PyPI cvd-risk is the older "
    "WHO/ISH 2007. The super-regional aggregates of the source's table are not countries and are "
    "left out."
)


LAB = Score(
    id="who-cvd-lab",
    version="WHO-CVD-2019/lab/2017/1",
    title=Text("WHO CVD risk 2019, laboratory model", "WHO心血管病10年风险（2019，含实验室指标）"),
    measure=Measure.PROBABILITY,
    unit="%",
    scale=Scale.LOG_HAZARD,
    horizon_years=10,
    needs=(*_NEEDS, Need("total_cholesterol_mmol_l"), Need("diabetes")),
    kernel=who_cvd_lab,
    bands=_BANDS,
    guideline=Text("WHO HEARTS technical package", "世界卫生组织HEARTS技术包"),
    outcome=Text(
        "fatal or non-fatal myocardial infarction, coronary death or stroke",
        "致死性或非致死性心肌梗死、冠心病死亡或脑卒中",
    ),
    outcome_codes=(CORONARY_EVENT, ANY_STROKE),
    population=Text(
        "adults of 40 to 74 years without cardiovascular disease, by the incidence of their region",
        "40–74岁、无心血管病的成年人，按所在区域发病率校准",
    ),
    limits=_LIMITS,
    formula="1 - (1 - p_chd)(1 - p_stroke), each p = 1 - exp(-exp(c + s ln(-ln(1 - p0)))), "
    "c and s by country",
    citation="WHO CVD Risk Chart Working Group. Lancet Glob Health 2019;7:e1332-45",
    doi="10.1016/S2214-109X(19)30318-3",
    terms=_TERMS,
    verified="1,400 of 1,400 cells of the East Asia charts by their mid-points; the other 20 "
    "regions but for four slips of the transcription",
    deviations=_DEVIATIONS,
    known_error=0.5,
    reference={**_REFERENCE, "total_cholesterol_mmol_l": 6},
    levers=("sbp_mmhg", "current_smoker", "total_cholesterol_mmol_l"),
    loinc="99055-6",
)
NONLAB = replace(
    LAB,
    id="who-cvd-nonlab",
    version="WHO-CVD-2019/nonlab/2017/1",
    title=Text(
        "WHO CVD risk 2019, non-laboratory model", "WHO心血管病10年风险（2019，无需实验室指标）"
    ),
    needs=(*_NEEDS, Need("bmi_kg_m2", low=10, high=80)),
    kernel=who_cvd_nonlab,
    population=Text(
        "adults of 40 to 74 years without cardiovascular disease, where no laboratory is at hand",
        "40–74岁、无心血管病的成年人，适用于无实验室条件的场所",
    ),
    verified="700 of 700 cells of the East Asia charts by their mid-points; the other 20 regions "
    "but for one slip of the transcription",
    reference={**_REFERENCE, "bmi_kg_m2": 25},
    levers=("sbp_mmhg", "current_smoker", "bmi_kg_m2"),
)
