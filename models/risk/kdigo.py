"""KDIGO 2024: risk by categories of GFR and albuminuria.

KDIGO 2024 Clinical Practice Guideline for the Evaluation and Management of CKD. Kidney Int 2024;105
(4S):S117-S314, doi 10.1016/j.kint.2023.10.018. Limits of albuminuria are stated per unit (30 and
300 mg/g; 3 and 30 mg/mmol) and are not the same amounts: the unit that was reported decides.
"""

import numpy as np
from numpy.typing import NDArray

from models.findings import Text
from models.risk.ckd_epi import GFR_LOW_EDGES, GFR_NAMES
from models.risk.score import Band, Columns, Floats, Measure, Need, Score, Stage
from models.risk.texts import HIGH, LOW, NO_TERMS_FOUND, VERY_HIGH

_RISKS = np.array(
    [
        [0, 1, 2],  # G1
        [0, 1, 2],  # G2
        [1, 2, 3],  # G3a
        [2, 3, 3],  # G3b
        [3, 3, 3],  # G4
        [3, 3, 3],  # G5
    ]
)
"""Index into the bands by GFR category and albuminuria category A1, A2, A3."""


def gfr_stage(columns: Columns) -> NDArray[np.intp]:
    """Return the index into `GFR_NAMES`, shape (people,)."""
    edges = -np.array(GFR_LOW_EDGES)
    return np.searchsorted(edges, -columns["egfr_ml_min_1_73m2"], side="left")


def albuminuria_stage(columns: Columns) -> NDArray[np.intp]:
    """Return 0 for A1, 1 for A2, 2 for A3, shape (people,)."""
    molar, mass = columns["urine_acr_mg_mmol"], columns["urine_acr_mg_g"]
    by_molar = (molar >= 3).astype(np.intp) + (molar > 30)
    by_mass = (mass >= 30).astype(np.intp) + (mass > 300)
    return np.where(np.isnan(mass), by_molar, by_mass)


def kdigo_risk(columns: Columns) -> Floats:
    """Return the rank of the risk, 0 (low) to 3 (very high), shape (people,)."""
    return _RISKS[gfr_stage(columns), albuminuria_stage(columns)].astype(np.float64)


SCORE = Score(
    id="kdigo",
    version="2024/1",
    title=Text("KDIGO 2024 CKD risk category", "慢性肾脏病（CKD）KDIGO 2024危险分层"),
    measure=Measure.CLASS,
    unit="1",
    needs=(
        Need("egfr_ml_min_1_73m2"),
        Need("urine_acr_mg_mmol"),
        Need("urine_acr_mg_g", required=False),
    ),
    kernel=kdigo_risk,
    bands=(
        Band("low", LOW),
        Band("moderate", Text("moderately increased", "中危"), 1),
        Band("high", HIGH, 2, high_risk=True),
        Band("very_high", VERY_HIGH, 3, high_risk=True),
    ),
    stages=(
        Stage(
            "g_stage", Text("GFR category", "GFR分期"), "egfr_ml_min_1_73m2", GFR_NAMES, gfr_stage
        ),
        Stage(
            "a_stage",
            Text("albuminuria category", "白蛋白尿分期"),
            "urine_acr_mg_mmol",
            ("A1", "A2", "A3"),
            albuminuria_stage,
        ),
    ),
    guideline=Text("KDIGO 2024", "KDIGO 2024指南"),
    outcome=Text(
        "relative risk of kidney failure, cardiovascular disease and death",
        "肾衰竭、心血管病和死亡的相对风险",
    ),
    population=Text(
        "adults with or suspected of chronic kidney disease", "患有或疑似慢性肾脏病的成年人"
    ),
    limits=Text(
        "G1 or G2 with A1 is no chronic kidney disease without other signs of damage; all "
        "categories must persist for more than three months.",
        "G1–G2期且A1期者，若无其他肾损伤证据，不能诊断慢性肾脏病；各分期均须持续3个月以上。",
    ),
    formula="grid of GFR category (G1-G5) by albuminuria category (A1-A3)",
    citation="KDIGO 2024 CKD guideline. Kidney Int 2024;105(4S):S117-S314",
    doi="10.1016/j.kint.2023.10.018",
    terms=NO_TERMS_FOUND,
    verified="clincalc 0.4.0, 72 of 72 cells",
    deviations="3 mg/mmol is 26.5 mg/g, not 30: the limits of the reported unit are used.",
    decimals=0,
)
