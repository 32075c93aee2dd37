"""Screening for diabetes by points: the New Chinese Diabetes Risk Score, FINDRISC, the ADA test."""

import numpy as np

from models.findings import Text
from models.risk.score import (
    Band,
    Columns,
    Floats,
    Measure,
    Need,
    Score,
    points,
)
from models.risk.texts import PUBLIC_DOMAIN, TYPE_2_DIABETES


def ncdrs(columns: Columns) -> Floats:
    """Return the points, 0 to 51, shape (people,). Diabetes Care 2013;36:3944-52."""
    male = columns["sex"] == 0
    # The limits of the waist in women are 5 cm lower, all else being equal.
    waist = columns["waist_cm"] + np.where(male, 0, 5)
    age_edges = (25, 35, 40, 45, 50, 55, 60, 65)
    return np.asarray(
        points(columns["age_years"], age_edges, (0, 4, 8, 11, 12, 13, 15, 16, 18))
        + points(columns["bmi_kg_m2"], (22, 24, 30), (0, 1, 3, 5))
        + points(waist, (75, 80, 85, 90, 95), (0, 3, 5, 7, 8, 10))
        + points(columns["sbp_mmhg"], (110, 120, 130, 140, 150, 160), (0, 1, 3, 6, 7, 8, 10))
        + 6 * columns["family_history_diabetes"]
        + 2 * male
    )


def findrisc(columns: Columns) -> Floats:
    """Return the points, 0 to 26, shape (people,). Diabetes Care 2003;26:725-31."""
    # The limits of the waist in women are 14 cm lower; 94 to 102 cm inclusive are 3 points.
    waist = columns["waist_cm"] + np.where(columns["sex"] == 0, 0, 14)
    bmi = columns["bmi_kg_m2"]
    return np.asarray(
        points(columns["age_years"], (45, 55, 65), (0, 2, 3, 4))
        + (bmi >= 25)
        + 2 * (bmi > 30)
        + 3.0 * (waist >= 94)
        + (waist > 102)
        + 2 * (1 - columns["physically_active"])
        + (1 - columns["daily_vegetables_or_fruit"])
        + 2 * columns["antihypertensive_treatment"]
        + 5 * columns["ever_high_glucose"]
        + np.array([0, 3, 5])[columns["family_history_diabetes_degree"].astype(np.intp)]
    )


def ada_risk(columns: Columns) -> Floats:
    """Return the points, 0 to 11, shape (people,). Ann Intern Med 2009;151:775-83."""
    male = columns["sex"] == 0
    gestational = np.where(male, 0, np.nan_to_num(columns["gestational_diabetes"]))
    return np.asarray(
        points(columns["age_years"], (40, 50, 60), (0, 1, 2, 3))
        + points(columns["bmi_kg_m2"], (25, 30, 40), (0, 1, 2, 3))
        + male
        + gestational
        + columns["family_history_diabetes"]
        + columns["hypertension"]
        + (1 - columns["physically_active"])
    )


_WITHOUT_DIABETES = Need("diabetes", required=False, low=0, high=0)

NCDRS = Score(
    id="ncdrs",
    version="2013/CDS-2020/1",
    title=Text("New Chinese Diabetes Risk Score", "中国糖尿病风险评分"),
    measure=Measure.POINTS,
    unit="{score}",
    needs=(
        Need("age_years", low=20, high=75, below=True),
        Need("sex"),
        Need("bmi_kg_m2"),
        Need("waist_cm"),
        Need("sbp_mmhg"),
        Need("family_history_diabetes"),
        _WITHOUT_DIABETES,
    ),
    kernel=ncdrs,
    bands=(
        Band("below_25", Text("below the limit of 25", "低于25分")),
        Band(
            "25_or_more",
            Text("25 or more", "25分及以上（高危）"),
            25,
            high_risk=True,
            advice=Text(
                "The guideline advises an oral glucose tolerance test.",
                "指南建议行口服葡萄糖耐量试验（OGTT）。",
            ),
        ),
    ),
    guideline=Text(
        "Chinese Diabetes Society, guideline 2020", "《中国2型糖尿病防治指南（2020年版）》"
    ),
    outcome=Text("undiagnosed type 2 diabetes", "未诊断的2型糖尿病"),
    outcome_codes=(TYPE_2_DIABETES,),
    population=Text(
        "Chinese adults of 20 to 74 years without known diabetes",
        "20–74岁、未确诊糖尿病的中国成年人",
    ),
    limits=Text(
        "Finds who should be tested; it is no diagnosis.",
        "用于筛选需进一步检查者，不能作为诊断依据。",
    ),
    formula="sum of points for age, BMI, waist, systolic pressure, family history and sex",
    citation="Zhou X, et al. Diabetes Care 2013;36:3944-52",
    doi="10.2337/dc13-0593",
    terms=PUBLIC_DOMAIN,
    verified="three agreeing public copies of the guideline's table; no published case",
    deviations="One public copy prints an example with a total of 16 whose items sum to 23; a "
    "demonstration gives 1 point at 31 years and 11 for BMI 30. The score of Qingdao (2010) is "
    "another one.",
    decimals=0,
    reference={
        "age_years": 40,
        "bmi_kg_m2": 21,
        "waist_cm": 68,
        "sbp_mmhg": 105,
        "family_history_diabetes": 0,
    },
    levers=("bmi_kg_m2", "waist_cm", "sbp_mmhg"),
    column_names={"fh_first_degree": "family_history_diabetes", "fh": "family_history_diabetes"},
)

FINDRISC = Score(
    id="findrisc",
    version="2003/1",
    title=Text("FINDRISC diabetes risk", "芬兰糖尿病风险评分（FINDRISC）"),
    measure=Measure.POINTS,
    unit="{score}",
    horizon_years=10,
    needs=(
        Need("age_years", low=18),
        Need("sex"),
        Need("bmi_kg_m2"),
        Need("waist_cm"),
        Need("physically_active"),
        Need("daily_vegetables_or_fruit"),
        Need("antihypertensive_treatment"),
        Need("ever_high_glucose"),
        Need("family_history_diabetes_degree"),
        _WITHOUT_DIABETES,
    ),
    kernel=findrisc,
    bands=(
        Band("low", Text("low", "低危")),
        Band("slightly_elevated", Text("slightly elevated", "轻度升高"), 7),
        Band("moderate", Text("moderate", "中危"), 12),
        Band("high", Text("high", "高危"), 15, high_risk=True),
        Band("very_high", Text("very high", "很高危"), 21, high_risk=True),
    ),
    guideline=Text("FINDRISC form, limits 7, 12, 15, 21", "FINDRISC评分表（7、12、15、21分切点）"),
    outcome=Text("type 2 diabetes treated by drugs", "需药物治疗的2型糖尿病"),
    outcome_codes=(TYPE_2_DIABETES,),
    population=Text(
        "European adults without diabetes; the limits of the waist are not Chinese: prefer NCDRS",
        "欧洲人群；腰围切点不适合中国人，国内请优先使用中国糖尿病风险评分",
    ),
    limits=Text("A screening form, no diagnosis.", "仅为筛查工具，不能作为诊断依据。"),
    formula="sum of points of eight questions",
    citation="Lindstrom J, Tuomilehto J. Diabetes Care 2003;26:725-31",
    doi="10.2337/diacare.26.3.725",
    terms=PUBLIC_DOMAIN,
    verified="clincalc 0.4.0, 25 of 25",
    decimals=0,
    reference={
        "age_years": 40,
        "bmi_kg_m2": 22,
        "waist_cm": 75,
        "physically_active": 1,
        "daily_vegetables_or_fruit": 1,
        "antihypertensive_treatment": 0,
        "ever_high_glucose": 0,
        "family_history_diabetes_degree": 0,
    },
    levers=("bmi_kg_m2", "waist_cm", "physically_active", "daily_vegetables_or_fruit"),
    column_names={"fh": "family_history_diabetes_degree"},
)

ADA_RISK = Score(
    id="ada-risk",
    version="2009/1",
    title=Text("Diabetes risk test (Bang 2009)", "糖尿病风险测试（Bang 2009）"),
    measure=Measure.POINTS,
    unit="{score}",
    needs=(
        Need("age_years", low=18),
        Need("sex"),
        Need("bmi_kg_m2"),
        Need("family_history_diabetes"),
        Need("hypertension"),
        Need("physically_active"),
        Need("gestational_diabetes", required=False),
        _WITHOUT_DIABETES,
    ),
    kernel=ada_risk,
    bands=(
        Band("below_4", Text("below 4", "低于4分")),
        Band("4", Text("4, limit for prediabetes", "4分（糖尿病前期切点）"), 4),
        Band("5_or_more", Text("5 or more", "5分及以上（高危）"), 5, high_risk=True),
    ),
    guideline=Text("American Diabetes Association, limit 5", "美国糖尿病学会，5分切点"),
    outcome=Text("undiagnosed diabetes", "未诊断的糖尿病"),
    outcome_codes=(TYPE_2_DIABETES,),
    population=Text("US adults without diabetes", "未患糖尿病的美国成年人"),
    limits=Text(
        "BMI limits for people of Asian descent are lower (23).", "亚裔人群BMI切点应更低（23）。"
    ),
    formula="sum of points of seven questions",
    citation="Bang H, et al. Ann Intern Med 2009;151:775-83",
    doi="10.7326/0003-4819-151-11-200912010-00005",
    terms=Text(
        "The test's wording is (c) ADA; none of it is used.", "测试的文字版权归ADA，此处未使用。"
    ),
    verified="five hand-scored cases; two public copies, one without gestational diabetes",
    off_because=Text(
        "The ADA's terms for its test are not settled, and it was made for the USA.",
        "ADA测试的使用条款尚未确认，且该评分为美国人群制定。",
    ),
    decimals=0,
    reference={
        "age_years": 39,
        "bmi_kg_m2": 22,
        "family_history_diabetes": 0,
        "hypertension": 0,
        "physically_active": 1,
        "gestational_diabetes": 0,
    },
    levers=("bmi_kg_m2", "physically_active"),
    column_names={"fh": "family_history_diabetes"},
)
