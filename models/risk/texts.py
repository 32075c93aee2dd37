"""Sentences that several scores share."""

from models.findings import Text
from models.risk.score import Band, icd10

LOW = Text("low", "低危")
INTERMEDIATE = Text("intermediate", "中危")
HIGH = Text("high", "高危")
VERY_HIGH = Text("very high", "很高危")

NO_TERMS_FOUND = Text(
    "Published equation; nothing was found that restricts its use.",
    "公开发表的公式，未见限制使用的条款。",
)
PUBLIC_DOMAIN = Text("Free to use.", "可免费使用。")

NO_BANDS = Text(
    "No categories: none of a guideline could be confirmed.",
    "不分级：未能核实相应指南的分级切点。",
)

WITHOUT_CVD = Text(
    "people without cardiovascular disease",
    "无心脑血管病者",
)

US_BANDS = (
    Band("low", LOW),
    Band("borderline", Text("borderline", "临界"), 5),
    Band("intermediate", INTERMEDIATE, 7.5),
    Band("high", HIGH, 20, high_risk=True),
)

ISCHAEMIC_HEART_DISEASE = icd10("I20-I25", "Ischaemic heart diseases")
CORONARY_EVENT = icd10("I21", "Acute myocardial infarction")
ANY_STROKE = icd10("I60-I64", "Stroke, haemorrhagic or ischaemic")
ISCHAEMIC_STROKE = icd10("I63", "Cerebral infarction")
HEART_FAILURE = icd10("I50", "Heart failure")
TYPE_2_DIABETES = icd10("E11", "Type 2 diabetes mellitus")
KIDNEY_FAILURE = icd10("N18.5", "Chronic kidney disease, stage 5")
HYPERTENSION = icd10("I10", "Essential (primary) hypertension")
