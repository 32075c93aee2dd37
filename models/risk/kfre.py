"""Kidney failure risk equation: two or five years, with 4, 6 or 8 variables.

Tangri N, et al. JAMA 2016;315:164-174, doi 10.1001/jama.2015.18202.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from models.findings import Text
from models.risk.inputs import MG_G_PER_MG_MMOL
from models.risk.scales import Scale
from models.risk.score import (
    Columns,
    Floats,
    Kernel,
    Measure,
    Need,
    Rule,
    Score,
    Status,
    one_of,
)
from models.risk.texts import KIDNEY_FAILURE, NO_BANDS

_G_DL_PER_G_L = 0.1
_CALCIUM_MG_DL_PER_MMOL_L = 4.008
_PHOSPHATE_MG_DL_PER_MMOL_L = 3.097

# Survival at 2 and 5 years, by variables: North America, elsewhere.
_SURVIVAL = {
    4: ((0.9750, 0.9240), (0.9832, 0.9365)),
    6: ((0.9750, 0.9240), (0.9830, 0.9370)),
    8: ((0.9780, 0.9301), (0.9827, 0.9245)),
}


def _core(c: Columns, age: float, male: float, egfr: float, acr: float) -> Floats:
    """Return the four-variable part of the predictor with these coefficients."""
    acr_mg_g = c["urine_acr_mg_mmol"] * MG_G_PER_MG_MMOL
    return np.asarray(
        age * (c["age_years"] / 10 - 7.036)
        + male * ((c["sex"] == 0) - 0.5642)
        + egfr * (c["egfr_ml_min_1_73m2"] / 5 - 7.222)
        + acr * (np.log(acr_mg_g) - 5.137)
    )


def _four(c: Columns) -> Floats:
    return _core(c, -0.2201, 0.2467, -0.5567, 0.4510)


def _six(c: Columns) -> Floats:
    return np.asarray(
        _core(c, -0.2218, 0.2553, -0.5541, 0.4562)
        - 0.1475 * (c["diabetes"] - 0.5106)
        + 0.1426 * (c["hypertension"] - 0.8501)
    )


def _eight(c: Columns) -> Floats:
    return np.asarray(
        _core(c, -0.1992, 0.1602, -0.4919, 0.3364)
        - 0.3441 * (c["serum_albumin_g_l"] * _G_DL_PER_G_L - 3.997)
        + 0.2604 * (c["phosphate_mmol_l"] * _PHOSPHATE_MG_DL_PER_MMOL_L - 3.916)
        - 0.07354 * (c["bicarbonate_mmol_l"] - 25.57)
        - 0.2228 * (c["calcium_mmol_l"] * _CALCIUM_MG_DL_PER_MMOL_L - 9.355)
    )


_PREDICTORS: Mapping[int, Callable[[Columns], Floats]] = {4: _four, 6: _six, 8: _eight}


def _kernel(variables: int) -> Kernel:
    survival = np.log(np.array(_SURVIVAL[variables]))
    predictor = _PREDICTORS[variables]

    def kfre(columns: Columns) -> Floats:
        """Return the risk in percent, shape (people,)."""
        elsewhere = (columns["region"] != 0).astype(np.intp)
        five_years = (columns["horizon_years"] == 5).astype(np.intp)
        log_survival = survival[elsewhere, five_years]
        return np.asarray(-100 * np.expm1(log_survival * np.exp(predictor(columns))))

    return kfre


def two_or_five_years(columns: Columns) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return where the horizon is neither two nor five years, shape (people,)."""
    return np.asarray((columns["horizon_years"] != 2) & (columns["horizon_years"] != 5))


_NEEDS = (
    Need("age_years", low=18, high=110),
    Need("sex"),
    Need("egfr_ml_min_1_73m2", high=60, below=True),
    Need("urine_acr_mg_mmol"),
    Need("horizon_years", default=5),
    # The equation's own words: North America, or everywhere else.
    one_of("region", "north_america", "other", default="other"),
)
_OFF = Text(
    "No second, independent source of its coefficients could be found; "
    "the four-variable equation is the verified one.",
    "未找到系数的第二个独立来源；已核实的是四变量公式。",
)
_FORMULA = "1 - S0^exp(x), x linear in age, sex, eGFR, ln ACR (mg/g)"


KFRE_4 = Score(
    id="kfre-4",
    version="2016/4-variable/1",
    title=Text(
        "Kidney failure risk (4-variable KFRE)",
        "肾衰竭风险（KFRE 4变量公式）",
    ),
    measure=Measure.PROBABILITY,
    unit="%",
    scale=Scale.LOG_HAZARD,
    needs=_NEEDS,
    rules=(
        Rule(
            Status.OUT_OF_POPULATION,
            "horizon_years",
            two_or_five_years,
            Text(
                "The equation tells the risk within 2 or 5 years (horizon_years).",
                "本公式仅预测2年或5年风险（horizon_years取2或5）。",
            ),
        ),
    ),
    kernel=_kernel(4),
    bands=(),
    guideline=NO_BANDS,
    outcome=Text("kidney failure treated by dialysis or transplant", "需透析或肾移植的肾衰竭"),
    outcome_codes=(KIDNEY_FAILURE,),
    population=Text(
        "adults with chronic kidney disease G3 to G5 (eGFR below 60); "
        "region 'other' (outside North America) fits China",
        "慢性肾脏病G3–G5期（eGFR<60）成年人；中国人群请用“other”（北美以外）区域系数",
    ),
    limits=Text(
        "Not for people on dialysis or with a transplant. eGFR by CKD-EPI; the original used "
        "the equation of 2009.",
        "不适用于已透析或肾移植者。eGFR采用CKD-EPI公式，原研究使用2009年版。",
    ),
    formula=_FORMULA,
    citation="Tangri N, et al. JAMA 2016;315:164-174",
    doi="10.1001/jama.2015.18202",
    terms=Text(
        "No restriction found (kidneyfailurerisk.com).",
        "未见限制使用的条款（kidneyfailurerisk.com）。",
    ),
    verified="kfre 0.1.18, 100 of 100 to 5e-9; a second public copy agrees; no published patient",
    reference={
        "age_years": 70,
        "egfr_ml_min_1_73m2": 36,
        "urine_acr_mg_mmol": 19,
        "diabetes": 0,
        "hypertension": 0,
        "serum_albumin_g_l": 40,
        "phosphate_mmol_l": 1.26,
        "bicarbonate_mmol_l": 25.6,
        "calcium_mmol_l": 2.33,
    },
    column_names={"dm": "diabetes", "htn": "hypertension"},
)


def _with_more(variables: int, *more: Need) -> Score:
    return replace(
        KFRE_4,
        id=f"kfre-{variables}",
        version=f"2016/{variables}-variable/1",
        title=Text(
            f"Kidney failure risk ({variables}-variable KFRE)",
            f"肾衰竭风险（KFRE {variables}变量公式）",
        ),
        needs=(*_NEEDS, *more),
        kernel=_kernel(variables),
        formula=f"{_FORMULA} and the further variables",
        verified="kfre 0.1.18, from which the coefficients were read; no second source",
        off_because=_OFF,
    )


KFRE_6 = _with_more(6, Need("diabetes"), Need("hypertension"))
KFRE_8 = _with_more(
    8,
    Need("serum_albumin_g_l"),
    Need("phosphate_mmol_l"),
    Need("bicarbonate_mmol_l"),
    Need("calcium_mmol_l"),
)
