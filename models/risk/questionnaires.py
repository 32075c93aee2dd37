"""PHQ-9 and GAD-7: from the answers, or from their total, to a severity."""

import numpy as np

from models.findings import Text
from models.risk.inputs import GAD7_ITEMS, PHQ9_ITEMS
from models.risk.score import Alert, Band, Measure, Need, Score
from models.risk.texts import PUBLIC_DOMAIN

_SUICIDAL_THOUGHTS = Alert(
    lambda columns: columns[PHQ9_ITEMS[8]] > 0,
    Text(
        "Item 9 (thoughts of death or self-harm) is above 0: ask about it now, whatever the total.",
        "第9题（自伤或轻生想法）得分大于0：无论总分多少，请立即评估自杀风险。",
    ),
)
_POPULATION = Text("adolescents and adults", "青少年和成年人")
_LIMITS = Text(
    "A questionnaire, no diagnosis; use a validated translation.",
    "量表结果不能作为诊断依据；请使用经验证的中文版量表。",
)
_TERMS = PUBLIC_DOMAIN

PHQ_9 = Score(
    id="phq-9",
    version="2001/1",
    title=Text("PHQ-9 depression severity", "患者健康问卷抑郁量表（PHQ-9）"),
    measure=Measure.POINTS,
    unit="{score}",
    needs=(Need("phq9_total"), *(Need(item, required=False) for item in PHQ9_ITEMS)),
    kernel=lambda columns: np.array(columns["phq9_total"]),
    bands=(
        Band("none-minimal", Text("none or minimal", "无或极轻抑郁")),
        Band("mild", Text("mild", "轻度抑郁"), 5),
        Band("moderate", Text("moderate", "中度抑郁"), 10, high_risk=True),
        Band("moderately-severe", Text("moderately severe", "中重度抑郁"), 15, high_risk=True),
        Band("severe", Text("severe", "重度抑郁"), 20, high_risk=True),
    ),
    alerts=(_SUICIDAL_THOUGHTS,),
    guideline=Text("Kroenke 2001, cut at 10", "Kroenke 2001（筛查切点10分）"),
    outcome=Text("depressive symptoms in the last two weeks", "近两周抑郁症状"),
    population=_POPULATION,
    limits=_LIMITS,
    formula="sum of nine items, 0 to 3 each",
    citation="Kroenke K, Spitzer RL, Williams JBW. J Gen Intern Med 2001;16:606-13",
    doi="10.1046/j.1525-1497.2001.016009606.x",
    terms=_TERMS,
    verified="clincalc 0.4.0, 10 of 10",
    decimals=0,
    reference=dict.fromkeys(PHQ9_ITEMS, 0.0),
    loinc="44261-6",
    column_names={"total": "phq9_total"},
)
GAD_7 = Score(
    id="gad-7",
    version="2006/1",
    title=Text("GAD-7 anxiety severity", "广泛性焦虑量表（GAD-7）"),
    measure=Measure.POINTS,
    unit="{score}",
    needs=(Need("gad7_total"), *(Need(item, required=False) for item in GAD7_ITEMS)),
    kernel=lambda columns: np.array(columns["gad7_total"]),
    bands=(
        Band("minimal", Text("minimal", "无或极轻焦虑")),
        Band("mild", Text("mild", "轻度焦虑"), 5),
        Band("moderate", Text("moderate", "中度焦虑"), 10, high_risk=True),
        Band("severe", Text("severe", "重度焦虑"), 15, high_risk=True),
    ),
    guideline=Text("Spitzer 2006, cut at 10", "Spitzer 2006（筛查切点10分）"),
    outcome=Text("anxiety in the last two weeks", "近两周焦虑症状"),
    population=_POPULATION,
    limits=_LIMITS,
    formula="sum of seven items, 0 to 3 each",
    citation="Spitzer RL, et al. Arch Intern Med 2006;166:1092-7",
    doi="10.1001/archinte.166.10.1092",
    terms=_TERMS,
    verified="clincalc 0.4.0, 8 of 8",
    decimals=0,
    reference=dict.fromkeys(GAD7_ITEMS, 0.0),
    loinc="70274-6",
    column_names={"total": "gad7_total"},
)
