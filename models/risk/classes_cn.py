"""Chinese classes of blood pressure and of body mass index.

Blood pressure: Chinese guidelines for the management of hypertension, 2018 and 2024 (the clinical
practice guideline of 2022, with 130/80, is another and is not mixed in). BMI and waist: WS/T
428-2013, Criteria of weight for adults.
"""

import numpy as np

from models.findings import Text
from models.risk.score import (
    DIASTOLIC_BELOW_SYSTOLIC,
    Alert,
    Band,
    Columns,
    Floats,
    Mask,
    Measure,
    Need,
    Score,
)
from models.risk.texts import PUBLIC_DOMAIN


def blood_pressure_grade(columns: Columns) -> Floats:
    """Return the rank: 0 normal, 1 high normal, 2 to 4 grades 1 to 3, shape (people,)."""
    systolic = np.searchsorted((120, 140, 160, 180), columns["sbp_mmhg"], side="right")
    diastolic = np.searchsorted((80, 90, 100, 110), columns["dbp_mmhg"], side="right")
    return np.maximum(systolic, diastolic).astype(np.float64)


_ISOLATED_SYSTOLIC = Alert(
    lambda columns: (columns["sbp_mmhg"] >= 140) & (columns["dbp_mmhg"] < 90),
    Text("Isolated systolic hypertension.", "单纯收缩期高血压。"),
)


def _waist_at_least(men: float, women: float, columns: Columns) -> Mask:
    limit = np.where(columns["sex"] == 0, men, np.where(columns["sex"] == 1, women, np.inf))
    return np.asarray(columns["waist_cm"] >= limit)


_CENTRAL_OBESITY = Alert(
    lambda columns: _waist_at_least(90, 85, columns),
    Text(
        "Central obesity: waist 90 cm or more in men, 85 in women.",
        "中心型肥胖（腰围男≥90 cm，女≥85 cm）。",
    ),
)
_PRE_CENTRAL_OBESITY = Alert(
    lambda columns: _waist_at_least(85, 80, columns) & ~_waist_at_least(90, 85, columns),
    Text("Near central obesity: waist 85 to 90 cm in men, 80 to 85 in women.", "中心型肥胖前期。"),
)

BP_GRADE = Score(
    id="bp-grade-cn",
    version="2024/1",
    title=Text("Blood pressure grade (China)", "血压水平分级（中国）"),
    measure=Measure.CLASS,
    unit="1",
    needs=(Need("sbp_mmhg"), Need("dbp_mmhg"), Need("age_years", required=False, low=18)),
    rules=(DIASTOLIC_BELOW_SYSTOLIC,),
    kernel=blood_pressure_grade,
    bands=(
        Band("normal", Text("normal", "正常血压")),
        Band("high_normal", Text("high normal", "正常高值"), 1),
        Band("grade1", Text("hypertension, grade 1", "高血压1级（轻度）"), 2),
        Band("grade2", Text("hypertension, grade 2", "高血压2级（中度）"), 3, high_risk=True),
        Band("grade3", Text("hypertension, grade 3", "高血压3级（重度）"), 4, high_risk=True),
    ),
    alerts=(_ISOLATED_SYSTOLIC,),
    guideline=Text(
        "Chinese guidelines for the management of hypertension (2024)",
        "《中国高血压防治指南（2024年修订版）》",
    ),
    outcome=Text("class of office blood pressure", "诊室血压水平"),
    population=Text("adults of 18 years and over", "18岁及以上成年人"),
    limits=Text(
        "Office pressure without treatment; the diagnosis takes readings on different days.",
        "指未服降压药时的诊室血压；诊断须以非同日多次测量为准。",
    ),
    formula="the higher of the grades by systolic (120, 140, 160, 180) and diastolic (80, 90, 100, "
    "110 mmHg) pressure",
    citation="Chinese guidelines for the management of hypertension, 2018; revision of 2024",
    doi=None,
    terms=PUBLIC_DOMAIN,
    verified="thresholds in many agreeing public copies; hand-scored cases",
    deviations="The clinical practice guideline of 2022 calls 130/80 hypertension; not mixed in.",
    decimals=0,
)
BMI_CLASS = Score(
    id="bmi-class-cn",
    version="WS-T-428-2013/1",
    title=Text("BMI class (China)", "体质指数分类（中国）"),
    measure=Measure.QUANTITY,
    unit="kg/m2",
    needs=(
        Need("bmi_kg_m2"),
        Need("age_years", required=False, low=18),
        Need("sex", required=False),
        Need("waist_cm", required=False),
        Need("pregnant", required=False, low=0, high=0),
    ),
    kernel=lambda columns: np.array(columns["bmi_kg_m2"]),
    bands=(
        Band("underweight", Text("underweight", "体重过低")),
        Band("normal", Text("normal weight", "体重正常"), 18.5),
        Band("overweight", Text("overweight", "超重"), 24),
        Band("obesity", Text("obesity", "肥胖"), 28, high_risk=True),
    ),
    alerts=(_CENTRAL_OBESITY, _PRE_CENTRAL_OBESITY),
    guideline=Text("WS/T 428-2013", "WS/T 428—2013《成人体重判定》"),
    outcome=Text("class of body weight", "体重类别"),
    population=Text("Chinese adults of 18 years and over", "18岁及以上中国成年人"),
    limits=Text("Not in pregnancy.", "不适用于妊娠期。"),
    formula="BMI with limits 18.5, 24 and 28 kg/m2",
    citation="WS/T 428-2013, Criteria of weight for adults",
    doi=None,
    terms=PUBLIC_DOMAIN,
    verified="several agreeing public copies; hand-scored cases",
    loinc="39156-5",
)
