"""PREVENT (AHA 2023): base and add-on models, 10 and 30 years, five outcomes.

Khan SS, et al. Circulation 2024;149:430-449, doi 10.1161/CIRCULATIONAHA.123.067626; coefficients
of the supplement in `data/prevent_2023.json`.
"""

from collections.abc import Callable

import numpy as np

from models.findings import Text
from models.risk.coefficients import prevent_terms
from models.risk.inputs import INPUTS, MG_G_PER_MG_MMOL
from models.risk.scales import Scale
from models.risk.score import (
    HDL_BELOW_TOTAL,
    Columns,
    Floats,
    Mask,
    Measure,
    Need,
    Rule,
    Score,
    Status,
    one_of,
)
from models.risk.texts import ANY_STROKE, CORONARY_EVENT, HEART_FAILURE, US_BANDS

_MODELS = INPUTS["prevent_model"].choices
_OUTCOMES = INPUTS["prevent_outcome"].choices
_SEXES = INPUTS["sex"].choices
_CVD = _OUTCOMES.index("cvd")


def prevent_predictors(c: Columns) -> dict[str, Floats]:
    """Return every term of every model by its name, shape (people,) each."""
    total, hdl_mmol = c["total_cholesterol_mmol_l"], c["hdl_cholesterol_mmol_l"]
    sbp, bmi, egfr = c["sbp_mmhg"], c["bmi_kg_m2"], c["egfr_ml_min_1_73m2"]
    age = (c["age_years"] - 55) / 10
    dm, treated, statin = c["diabetes"], c["antihypertensive_treatment"], c["statin_treatment"]
    smoking = c["current_smoker"]
    nonhdl = (total - hdl_mmol) - 3.5
    hdl = (hdl_mmol - 1.3) / 0.3
    sbp_ge110 = (np.maximum(sbp, 110) - 130) / 20
    bmi_ge30 = (np.maximum(bmi, 30) - 30) / 5
    egfr_lt60 = (np.minimum(egfr, 60) - 60) / -15
    return {
        "const": np.ones_like(age),
        "age": age,
        "age2": age**2,
        "nonhdl": nonhdl,
        "hdl": hdl,
        "sbp_lt110": (np.minimum(sbp, 110) - 110) / 20,
        "sbp_ge110": sbp_ge110,
        "dm": dm,
        "smoking": smoking,
        "bmi_lt30": (np.minimum(bmi, 30) - 25) / 5,
        "bmi_ge30": bmi_ge30,
        "egfr_lt60": egfr_lt60,
        "egfr_ge60": (np.maximum(egfr, 60) - 90) / -15,
        "bp_tx": treated,
        "statin": statin,
        "tx_sbp": treated * sbp_ge110,
        "tx_nonhdl": statin * nonhdl,
        "age_nonhdl": age * nonhdl,
        "age_hdl": age * hdl,
        "age_sbp": age * sbp_ge110,
        "age_dm": age * dm,
        "age_smoking": age * smoking,
        "age_bmi_ge30": age * bmi_ge30,
        "age_egfr_lt60": age * egfr_lt60,
        **_add_on_predictors(c),
    }


def _add_on_predictors(c: Columns) -> dict[str, Floats]:
    acr, hba1c, sdi = c["urine_acr_mg_mmol"] * MG_G_PER_MG_MMOL, c["hba1c_percent"], c["sdi_decile"]
    # The full model has published terms for what is missing; nothing is put in its place.
    known = np.where(np.isnan(hba1c), 0, hba1c - 5.3)
    return {
        "ln_uacr": np.where(np.isnan(acr), 0, np.log(acr)),
        "uacr_missing": np.isnan(acr).astype(np.float64),
        "hba1c_dm": np.where(c["diabetes"] == 1, known, 0),
        "hba1c_no_dm": np.where(c["diabetes"] == 1, 0, known),
        "hba1c_missing": np.isnan(hba1c).astype(np.float64),
        "sdi_4_6": ((sdi >= 4) & (sdi <= 6)).astype(np.float64),
        "sdi_7_10": (sdi >= 7).astype(np.float64),
        "sdi_missing": np.isnan(sdi).astype(np.float64),
    }


def prevent(columns: Columns) -> Floats:
    """Return the risk in percent by each one's model, outcome and horizon, shape (people,)."""
    predictors = prevent_predictors(columns)
    options = ("prevent_model", "prevent_outcome", "horizon_years", "sex")
    chosen = np.stack([columns[name] for name in options])
    log_odds = np.empty(chosen.shape[1])
    for kind in np.unique(chosen, axis=1).T:
        model, outcome, years, sex = (int(number) for number in kind)
        these = (chosen == kind[:, None]).all(axis=0)
        terms = prevent_terms(_MODELS[model], years, _SEXES[sex], _OUTCOMES[outcome])
        log_odds[these] = sum(
            coefficient * predictors[name][these] for name, coefficient in terms.items()
        )
    return np.asarray(100 / (1 + np.exp(-log_odds)))


def _needed_by(model: str, name: str) -> Callable[[Columns], Mask]:
    place = _MODELS.index(model)
    return lambda columns: np.isnan(columns[name]) & (columns["prevent_model"] == place)


def _add_on(model: str, name: str) -> Rule:
    label = INPUTS[name].label
    return Rule(
        Status.MISSING,
        name,
        _needed_by(model, name),
        Text(
            f"{label.en} ({name}) is missing; prevent_model {model} needs it.",
            f"缺少{label.zh}（{name}），所选PREVENT模型（{model}）需要此项。",
        ),
    )


def _cvd_bands(values: Floats, columns: Columns) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    bands = np.searchsorted((5, 7.5, 20), values, side="right")
    ten_year_cvd = (columns["prevent_outcome"] == _CVD) & (columns["horizon_years"] == 10)
    return np.where(ten_year_cvd, bands, -1)


_TEN_OR_THIRTY = Rule(
    Status.OUT_OF_POPULATION,
    "horizon_years",
    lambda columns: (columns["horizon_years"] != 10) & (columns["horizon_years"] != 30),
    Text(
        "The equation tells the risk within 10 or 30 years (horizon_years).",
        "本公式仅预测10年或30年风险（horizon_years取10或30）。",
    ),
)
_THIRTY_BELOW_60 = Rule(
    Status.OUT_OF_POPULATION,
    "age_years",
    lambda columns: (columns["horizon_years"] == 30) & (columns["age_years"] >= 60),
    Text(
        "Age (age_years) is 60 or more; the 30-year risk is meant for 30 to 59 years.",
        "年龄（age_years）≥60岁；30年风险仅适用于30–59岁。",
    ),
)

SCORE = Score(
    id="prevent",
    version="2023/1",
    title=Text("PREVENT cardiovascular risk", "PREVENT心血管病风险（美国）"),
    measure=Measure.PROBABILITY,
    unit="%",
    scale=Scale.LOG_ODDS,
    needs=(
        Need("age_years", low=30, high=80, below=True),
        Need("sex"),
        Need("sbp_mmhg", low=90, high=200),
        Need("total_cholesterol_mmol_l", low=3.36, high=8.28),
        Need("hdl_cholesterol_mmol_l", low=0.51, high=2.59),
        Need("bmi_kg_m2", low=18.5, high=40, below=True),
        # The published range is 15 to 140; up to 150 it is carried on, and marked.
        Need("egfr_ml_min_1_73m2", low=15, high=140, wider_high=150),
        Need("diabetes"),
        Need("current_smoker"),
        Need("antihypertensive_treatment"),
        Need("statin_treatment"),
        Need("urine_acr_mg_mmol", required=False, low=0.011, high=2830),
        Need("hba1c_percent", required=False, low=4.5, high=15),
        Need("sdi_decile", required=False),
        one_of("prevent_model", *_MODELS, default="base"),
        one_of("prevent_outcome", *_OUTCOMES, default="cvd"),
        Need("horizon_years", default=10),
        Need("established_ascvd", required=False, low=0, high=0),
    ),
    rules=(
        HDL_BELOW_TOTAL,
        _TEN_OR_THIRTY,
        _THIRTY_BELOW_60,
        _add_on("uacr", "urine_acr_mg_mmol"),
        _add_on("hba1c", "hba1c_percent"),
        _add_on("sdi", "sdi_decile"),
    ),
    kernel=prevent,
    bands=US_BANDS,
    choose_bands=_cvd_bands,
    edges_of=lambda columns: (
        (5.0, 7.5, 20.0)
        if columns["prevent_outcome"][0] == _CVD and columns["horizon_years"][0] == 10
        else ()
    ),
    guideline=Text(
        "limits that packages use for the 10-year risk of CVD (no guideline was read)",
        "软件包对10年心血管病风险所用切点（未核对指南原文）",
    ),
    outcome=Text(
        "cardiovascular disease (coronary, stroke, heart failure) or the part of it that was asked",
        "心血管病（冠心病、脑卒中、心力衰竭）或所选结局",
    ),
    outcome_codes=(CORONARY_EVENT, ANY_STROKE, HEART_FAILURE),
    population=Text(
        "US adults of 30 to 79 years (30-year risk: 30 to 59) without cardiovascular disease",
        "30–79岁（30年风险：30–59岁）、无心血管病的美国成年人",
    ),
    limits=Text(
        "Calibrated for the USA, not for China. The deprivation index holds in the USA alone.",
        "按美国人群校准，不适用于中国；社会剥夺指数仅适用于美国。",
    ),
    formula="e^L / (1 + e^L), L linear with hinges at SBP 110, BMI 30, eGFR 60; times age",
    citation="Khan SS, et al. Circulation 2024;149:430-449",
    doi="10.1161/CIRCULATIONAHA.123.067626",
    terms=Text(
        "The AHA publishes a PREVENT licence agreement and claims data, code and calculators; the "
        "name is a mark. Get a written answer from the owner before use.",
        "AHA发布了PREVENT许可协议，对数据、代码和计算器主张权利；使用前须取得权利人书面答复。",
    ),
    verified="60 values of the paper's table S12; runs of PooledCohort, pyprevent and preventr; "
    "3,200 coefficients identical in two packages",
    deviations="The AHA's web calculator takes a missing deprivation index for deciles 1 to 3 "
    "(ASCVD in women); here the published term for a missing index is used.",
    off_because=Text(
        "The AHA's licence agreement for PREVENT is limited and revocable; and it is calibrated "
        "for the USA.",
        "AHA的PREVENT许可有限且可撤销；且公式按美国人群校准。",
    ),
    reference={
        "age_years": 55,
        "sbp_mmhg": 120,
        "total_cholesterol_mmol_l": 4.8,
        "hdl_cholesterol_mmol_l": 1.3,
        "bmi_kg_m2": 25,
        "egfr_ml_min_1_73m2": 90,
        "diabetes": 0,
        "current_smoker": 0,
        "antihypertensive_treatment": 0,
        "statin_treatment": 0,
    },
    levers=("sbp_mmhg", "current_smoker"),
)
