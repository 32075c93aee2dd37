"""Small scores at the bedside: FIB-4, CHA2DS2-VASc and CHA2DS2-VA."""

import numpy as np
from numpy.typing import NDArray

from models.findings import Text
from models.risk.scales import Scale
from models.risk.score import (
    Band,
    Columns,
    Floats,
    Measure,
    Need,
    Score,
)
from models.risk.texts import HIGH, ISCHAEMIC_STROKE, LOW, PUBLIC_DOMAIN


def fib_4(columns: Columns) -> Floats:
    """Return the index, shape (people,). Hepatology 2006;43:1317-25."""
    return np.asarray(
        columns["age_years"]
        * columns["ast_u_l"]
        / (columns["platelets_10_9_l"] * np.sqrt(columns["alt_u_l"]))
    )


_FIB_4_HIGH = 2.67


def _fib_4_low(columns: Columns) -> Floats:
    return np.where(columns["age_years"] >= 65, 2.0, 1.30)


def _fib_4_bands(values: Floats, columns: Columns) -> NDArray[np.intp]:
    return np.where(values > _FIB_4_HIGH, 2, np.where(values >= _fib_4_low(columns), 1, 0))


def cha2ds2_va(columns: Columns) -> Floats:
    """Return the points, 0 to 8, shape (people,)."""
    age = columns["age_years"]
    return np.asarray(
        columns["heart_failure"]
        + columns["hypertension"]
        + (age >= 65)
        + (age >= 75)
        + columns["diabetes"]
        + 2 * columns["prior_stroke_tia"]
        + columns["vascular_disease"]
    )


def cha2ds2_vasc(columns: Columns) -> Floats:
    """Return the points, 0 to 9, shape (people,). Chest 2010;137:263-72."""
    return np.asarray(cha2ds2_va(columns) + (columns["sex"] == 1))


def _vasc_bands(values: Floats, columns: Columns) -> NDArray[np.intp]:
    # A woman's point for her sex alone is no risk factor: her limits are one point higher.
    return np.asarray(np.clip(values - (columns["sex"] == 1), 0, 2), np.intp)


FIB_4 = Score(
    id="fib-4",
    version="2006/1",
    title=Text("FIB-4 liver fibrosis index", "肝纤维化指数（FIB-4）"),
    measure=Measure.QUANTITY,
    unit="1",
    scale=Scale.LOG,
    # Not validated below 35 years.
    needs=(
        Need("age_years", low=35, wider_low=18),
        Need("ast_u_l"),
        Need("alt_u_l"),
        Need("platelets_10_9_l"),
    ),
    kernel=fib_4,
    bands=(
        Band("low", Text("advanced fibrosis unlikely", "进展期肝纤维化可能性低")),
        Band("indeterminate", Text("indeterminate", "不确定，需进一步评估")),
        Band("high", Text("advanced fibrosis likely", "进展期肝纤维化可能性高"), high_risk=True),
    ),
    choose_bands=_fib_4_bands,
    edges_of=lambda columns: (float(_fib_4_low(columns)[0]), _FIB_4_HIGH),
    guideline=Text(
        "limits 1.30 (2.0 from 65 years) and 2.67", "切点：1.30（65岁及以上为2.0）和2.67"
    ),
    outcome=Text("advanced liver fibrosis now", "当前是否存在进展期肝纤维化"),
    population=Text("adults with chronic liver disease", "慢性肝病成年患者"),
    limits=Text(
        "Below 35 years it is not validated and marked as extrapolated; not in acute hepatitis.",
        "35岁以下未经验证，标为外推；不适用于急性肝炎。",
    ),
    formula="age x AST / (platelets x sqrt(ALT))",
    citation="Sterling RK, et al. Hepatology 2006;43:1317-25",
    doi="10.1002/hep.21178",
    terms=PUBLIC_DOMAIN,
    verified="clincalc 0.4.0, 8 of 8",
    decimals=2,
    reference={"age_years": 50, "ast_u_l": 25, "alt_u_l": 25, "platelets_10_9_l": 250},
)

_AF_NEEDS = (
    Need("age_years", low=18),
    Need("heart_failure"),
    Need("hypertension"),
    Need("diabetes"),
    Need("prior_stroke_tia"),
    Need("vascular_disease"),
    Need("atrial_fibrillation", required=False, low=1, high=1),
)
_AF_REFERENCE = {
    "age_years": 60,
    "heart_failure": 0,
    "hypertension": 0,
    "diabetes": 0,
    "prior_stroke_tia": 0,
    "vascular_disease": 0,
}
_AF_COLUMNS = {
    "chf": "heart_failure",
    "htn": "hypertension",
    "dm": "diabetes",
    "stroke": "prior_stroke_tia",
    "vasc": "vascular_disease",
}
_AF_POPULATION = Text("adults with non-valvular atrial fibrillation", "非瓣膜性心房颤动成年患者")
_AF_LIMITS = Text(
    "Not in moderate to severe mitral stenosis or with mechanical valves. Weigh bleeding too.",
    "不适用于中重度二尖瓣狭窄或机械瓣置换者；须同时评估出血风险。",
)
_AF_OUTCOME = Text("stroke or systemic embolism", "脑卒中或体循环栓塞")
_AF_BANDS = (
    Band("low", LOW),
    Band(
        "intermediate",
        Text("anticoagulation to be considered", "中危，可考虑抗凝"),
        1,
        advice=Text(
            "The guideline says that anticoagulation should be considered.",
            "指南：应考虑口服抗凝治疗。",
        ),
    ),
    Band(
        "high",
        HIGH,
        2,
        high_risk=True,
        advice=Text("The guideline recommends anticoagulation.", "指南：推荐口服抗凝治疗。"),
    ),
)

CHA2DS2_VA = Score(
    id="cha2ds2-va",
    version="ESC-2024/1",
    title=Text("CHA2DS2-VA", "CHA2DS2-VA评分（房颤卒中风险）"),
    measure=Measure.POINTS,
    unit="{score}",
    needs=_AF_NEEDS,
    kernel=cha2ds2_va,
    bands=_AF_BANDS,
    guideline=Text("ESC 2024, atrial fibrillation", "ESC 2024心房颤动指南"),
    outcome=_AF_OUTCOME,
    outcome_codes=(ISCHAEMIC_STROKE,),
    population=_AF_POPULATION,
    limits=_AF_LIMITS,
    formula="heart failure 1, hypertension 1, age 65-74 1 or >=75 2, diabetes 1, stroke/TIA 2, "
    "vascular disease 1",
    citation="Van Gelder IC, et al. 2024 ESC Guidelines for atrial fibrillation. Eur Heart J 2024",
    doi="10.1093/eurheartj/ehae176",
    terms=PUBLIC_DOMAIN,
    verified="clincalc 0.4.0, 20 of 20",
    decimals=0,
    reference=_AF_REFERENCE,
    column_names=_AF_COLUMNS,
)
CHA2DS2_VASC = Score(
    id="cha2ds2-vasc",
    version="2010/1",
    title=Text("CHA2DS2-VASc", "CHA2DS2-VASc评分（房颤卒中风险）"),
    measure=Measure.POINTS,
    unit="{score}",
    needs=(*_AF_NEEDS, Need("sex")),
    kernel=cha2ds2_vasc,
    bands=_AF_BANDS,
    choose_bands=_vasc_bands,
    edges_of=lambda columns: tuple(edge + float(columns["sex"][0]) for edge in (1, 2)),
    guideline=Text(
        "ESC 2020, atrial fibrillation; limits 1 and 2 in men, 2 and 3 in women",
        "ESC 2020心房颤动指南（男性切点1、2分，女性切点2、3分）",
    ),
    outcome=_AF_OUTCOME,
    outcome_codes=(ISCHAEMIC_STROKE,),
    population=_AF_POPULATION,
    limits=_AF_LIMITS,
    formula="CHA2DS2-VA and 1 for women",
    citation="Lip GYH, et al. Chest 2010;137:263-72",
    doi="10.1378/chest.09-1584",
    terms=PUBLIC_DOMAIN,
    verified="clincalc 0.4.0, 20 of 20",
    decimals=0,
    reference=_AF_REFERENCE,
    column_names=_AF_COLUMNS,
)
