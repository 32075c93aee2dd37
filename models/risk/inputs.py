"""Every input of every score: one name and one unit each, with code, plausible range and label.

LOINC codes (https://loinc.org, 2.7x). Those in `UNCONFIRMED_LOINC` were written from memory; all
others were seen in at least one terminology file. Beware of secondary tables: one calls 14647-2
ferritin, another 14646-4 LDH and 33914-3 creatinine.

Plausible ranges are wide on purpose: what lies outside is a slip of unit or decimal point, not a
patient.
"""

from collections.abc import Mapping

from models.findings import Text
from models.risk.coefficients import who_countries
from models.risk.input_kinds import Input, choice, flag, number

_SEXES = {
    "m": "male",
    "f": "female",
    "男": "male",
    "女": "female",
    "男性": "male",
    "女性": "female",
    # GB/T 2261.1-2003, codes of sex, as Chinese records have them.
    "1": "male",
    "2": "female",
}
PHQ9_ITEMS = tuple(f"phq9_item_{n}" for n in range(1, 10))
GAD7_ITEMS = tuple(f"gad7_item_{n}" for n in range(1, 8))

MG_G_PER_MG_MMOL = 8.84
"""Albumin per creatinine: 1 mg/mmol is 8.84 mg/g (molar mass of creatinine 113.12 g/mol)."""

MG_DL_PER_MMOL_L_CHOLESTEROL = 1 / 0.02586
"""PREVENT's factor; China-PAR's paper has 0.0259, which shifts it by at most 0.002 points."""
UMOL_L_PER_MG_DL_CREATININE = 88.4
"""The factor of the equations' sources."""
_CHOLESTEROL = 10 * MG_DL_PER_MMOL_L_CHOLESTEROL
_CREATININE = 10_000 / UMOL_L_PER_MG_DL_CREATININE
_YEAR = 365
_HALF_YEAR = 183
_DAY = 1

_MEASUREMENTS = (
    number("age_years", "a", 0, 120, ("age", "年龄"), "30525-0"),
    number("height_cm", "cm", 50, 250, ("height", "身高"), "8302-2"),
    number("weight_kg", "kg", 10, 400, ("weight", "体重"), "29463-7", lasts=_YEAR),
    number(
        "bmi_kg_m2",
        "kg/m2",
        8,
        100,
        ("body mass index", "体质指数（BMI）"),
        "39156-5",
        parts=("height_cm", "weight_kg"),
        lasts=_YEAR,
    ),
    number(
        "waist_cm",
        "cm",
        30,
        250,
        ("waist circumference", "腰围"),
        *("8280-0", "56115-9", "56086-2"),
        lasts=_YEAR,
    ),
    number(
        "sbp_mmhg",
        "mm[Hg]",
        50,
        300,
        ("systolic blood pressure", "收缩压"),
        "8480-6",
        lasts=_HALF_YEAR,
    ),
    number(
        "dbp_mmhg",
        "mm[Hg]",
        20,
        200,
        ("diastolic blood pressure", "舒张压"),
        "8462-4",
        lasts=_HALF_YEAR,
    ),
    number("heart_rate_per_min", "/min", 10, 300, ("heart rate", "心率"), "8867-4", lasts=_DAY),
    number(
        "respiratory_rate_per_min",
        "/min",
        1,
        100,
        ("respiratory rate", "呼吸频率"),
        "9279-1",
        lasts=_DAY,
    ),
    number(
        "spo2_percent",
        "%",
        30,
        100,
        ("oxygen saturation", "血氧饱和度"),
        *("59408-5", "2708-6"),
        lasts=_DAY,
    ),
    number("temperature_c", "Cel", 25, 45, ("body temperature", "体温"), "8310-5", lasts=_DAY),
)

_LABORATORY = (
    number(
        "total_cholesterol_mmol_l",
        "mmol/L",
        0.5,
        30,
        ("total cholesterol", "总胆固醇"),
        *("14647-2", "2093-3"),
        molar=_CHOLESTEROL,
        lasts=_YEAR,
    ),
    number(
        "hdl_cholesterol_mmol_l",
        "mmol/L",
        0.1,
        8,
        ("HDL cholesterol", "高密度脂蛋白胆固醇"),
        *("14646-4", "2085-9"),
        molar=_CHOLESTEROL,
        lasts=_YEAR,
    ),
    number(
        "creatinine_umol_l",
        "umol/L",
        9,
        3000,
        ("serum creatinine", "血清肌酐"),
        *("14682-9", "2160-0"),
        molar=_CREATININE,
        lasts=_YEAR,
    ),
    number(
        "egfr_ml_min_1_73m2",
        "mL/min/{1.73_m2}",
        1,
        250,
        ("estimated glomerular filtration rate", "估算肾小球滤过率（eGFR）"),
        *("98979-8", "62238-1", "88293-6", "33914-3"),
        parts=("creatinine_umol_l", "age_years", "sex"),
        lasts=_YEAR,
    ),
    number(
        "urine_acr_mg_mmol",
        "mg/mmol",
        0.01,
        3000,
        ("urine albumin/creatinine ratio", "尿白蛋白/肌酐比值"),
        "32294-1",
        parts=("urine_acr_mg_g",),
        lasts=_YEAR,
    ),
    # An input of its own: KDIGO's limits of 30 mg/g and 3 mg/mmol are not the same amount.
    number(
        "urine_acr_mg_g",
        "mg/g",
        0.1,
        27_000,
        ("urine albumin/creatinine ratio, as reported in mg/g", "尿白蛋白/肌酐比值（以mg/g报告）"),
        *("9318-7", "14959-1"),
        lasts=_YEAR,
    ),
    number(
        "hba1c_percent",
        "%",
        3,
        20,
        ("HbA1c (NGSP)", "糖化血红蛋白"),
        *("4548-4", "17856-6", "59261-8"),
        lasts=_HALF_YEAR,
    ),
    number(
        "serum_albumin_g_l", "g/L", 5, 70, ("serum albumin", "血清白蛋白"), "1751-7", lasts=_YEAR
    ),
    number(
        "calcium_mmol_l",
        "mmol/L",
        0.5,
        5,
        ("serum calcium", "血清钙"),
        *("2000-8", "17861-6"),
        molar=40.08,
        lasts=_YEAR,
    ),
    number(
        "phosphate_mmol_l",
        "mmol/L",
        0.1,
        6,
        ("serum phosphate", "血清磷"),
        *("14879-1", "2777-1"),
        molar=30.97,
        lasts=_YEAR,
    ),
    number(
        "bicarbonate_mmol_l",
        "mmol/L",
        2,
        60,
        ("bicarbonate", "碳酸氢根"),
        "1963-8",
        lasts=_YEAR,
    ),
    number(
        "ast_u_l", "U/L", 1, 20_000, ("AST", "天门冬氨酸氨基转移酶（AST）"), "1920-8", lasts=_YEAR
    ),
    number("alt_u_l", "U/L", 1, 20_000, ("ALT", "丙氨酸氨基转移酶（ALT）"), "1742-6", lasts=_YEAR),
    number(
        "platelets_10_9_l", "10*9/L", 1, 3000, ("platelets", "血小板计数"), "777-3", lasts=_YEAR
    ),
)

_QUESTIONS = (
    number(
        "phq9_total",
        "{score}",
        0,
        27,
        ("PHQ-9 total", "PHQ-9总分"),
        "44261-6",
        parts=PHQ9_ITEMS,
        whole=True,
    ),
    *(
        number(name, "{score}", 0, 3, (f"PHQ-9 item {n}", f"PHQ-9第{n}题"), whole=True)
        for n, name in enumerate(PHQ9_ITEMS, 1)
    ),
    number(
        "gad7_total",
        "{score}",
        0,
        21,
        ("GAD-7 total", "GAD-7总分"),
        "70274-6",
        parts=GAD7_ITEMS,
        whole=True,
    ),
    *(
        number(name, "{score}", 0, 3, (f"GAD-7 item {n}", f"GAD-7第{n}题"), whole=True)
        for n, name in enumerate(GAD7_ITEMS, 1)
    ),
    number(
        "age_at_diabetes_diagnosis_years",
        "a",
        0,
        120,
        ("age at diagnosis of diabetes", "糖尿病确诊年龄"),
    ),
    number(
        "sdi_decile",
        "1",
        1,
        10,
        ("US Social Deprivation Index, decile", "美国社会剥夺指数十分位"),
        whole=True,
    ),
    number(
        "parents_with_hypertension",
        "1",
        0,
        2,
        ("parents with hypertension", "患高血压的父母人数"),
        whole=True,
    ),
    number("horizon_years", "a", 1, 30, ("years ahead", "预测年限"), whole=True),
)

_FACTS = (
    flag("current_smoker", "current smoker", "现在吸烟", "72166-2"),
    flag("diabetes", "diabetes", "糖尿病"),
    flag("hypertension", "hypertension", "高血压"),
    flag("antihypertensive_treatment", "antihypertensive treatment", "服用降压药"),
    flag("statin_treatment", "statin treatment", "服用他汀类药物"),
    flag("established_ascvd", "established cardiovascular disease", "已患心脑血管病"),
    flag("atrial_fibrillation", "atrial fibrillation", "心房颤动"),
    flag("pregnant", "pregnant", "妊娠"),
    flag("family_history_ascvd", "ASCVD in parents or siblings", "父母或兄弟姐妹患心脑血管病"),
    flag(
        "family_history_diabetes",
        "diabetes in parents, siblings or children",
        "父母、兄弟姐妹或子女患糖尿病",
    ),
    flag("gestational_diabetes", "gestational diabetes", "妊娠期糖尿病史"),
    flag("physically_active", "physically active every day", "每天规律身体活动"),
    flag("daily_vegetables_or_fruit", "vegetables or fruit every day", "每天食用蔬菜或水果"),
    flag("ever_high_glucose", "ever had high blood glucose", "曾有血糖升高"),
    flag("heart_failure", "heart failure", "心力衰竭"),
    flag("prior_stroke_tia", "stroke, TIA or thromboembolism", "卒中、TIA或血栓栓塞史"),
    flag("vascular_disease", "vascular disease", "血管疾病"),
    flag("supplemental_oxygen", "supplemental oxygen", "正在吸氧"),
    flag("spo2_scale_2", "SpO2 scale 2 (a clinician decides)", "采用SpO2评分标准2（由医生决定）"),
    flag("alert", "alert", "意识清醒"),
)

_CHOICES = (
    choice(
        "sex",
        ("sex", "性别"),
        *("male", "female"),
        loinc=("46098-0",),
        synonyms=_SEXES,
    ),
    choice(
        "country",
        ("country", "国家或地区"),
        *who_countries(),
        synonyms={"cn": "CHN", "中国": "CHN", "china": "CHN"},
        takes=Text(
            f"the ISO 3166-1 alpha-3 code of one of the {len(who_countries())} countries that WHO "
            "recalibrated, such as CHN; for one without a recalibration of its own (such as HKG, "
            "MAC, LIE) a clinician must choose the country whose cardiovascular incidence fits",
            f"WHO已校准的{len(who_countries())}个国家或地区之一的ISO 3166-1三位字母代码，如CHN；"
            "对没有单独校准的地区（如HKG、MAC、LIE），须由医生选定心血管病发病率相近的国家",
        ),
    ),
    choice(
        "region_of_china",
        ("north or south of the Yangtze", "居住地（以长江为界）"),
        *("north", "south"),
        synonyms={"北方": "north", "南方": "south", "北": "north", "南": "south"},
    ),
    choice(
        "residence",
        ("urban or rural residence", "城乡"),
        *("urban", "rural"),
        synonyms={"城市": "urban", "农村": "rural", "城": "urban", "乡": "rural"},
    ),
    choice("race", ("race, as the equation asks", "种族（按公式要求）"), "white", "black", "other"),
    choice(
        "region",
        ("risk region of the equation", "公式的风险区域"),
        *("north_america", "other", "low", "moderate", "high", "very_high"),
        synonyms={"na": "north_america", "non": "other", "very high": "very_high"},
    ),
    choice(
        "family_history_diabetes_degree",
        ("closest relative with diabetes", "患糖尿病的亲属"),
        *("none", "second_degree", "first_degree"),
        synonyms={"0": "none", "1": "second_degree", "2": "first_degree"},
    ),
    choice(
        "prevent_model",
        ("PREVENT model", "PREVENT模型"),
        *("base", "uacr", "hba1c", "sdi", "full"),
    ),
    choice(
        "prevent_outcome",
        ("PREVENT outcome", "PREVENT结局"),
        *("cvd", "ascvd", "hf", "chd", "stroke"),
    ),
)

INPUTS: Mapping[str, Input] = {
    entry.name: entry for entry in (*_CHOICES, *_MEASUREMENTS, *_LABORATORY, *_FACTS, *_QUESTIONS)
}
"""By name."""

UNCONFIRMED_LOINC = frozenset(
    (
        "1920-8",
        "1742-6",
        "777-3",
        "44261-6",
        "70274-6",
        "9279-1",
        "59408-5",
        "8310-5",
        "8302-2",
        "30525-0",
        "46098-0",
        "1751-7",
        "2000-8",
        "17861-6",
        "14879-1",
        "2777-1",
        "1963-8",
        "2708-6",
    )
)
"""Codes written from memory, which no terminology file at hand has confirmed."""
