"""Other ways to compute the same risk scores, each on the same people: a frame in, numbers out."""

import json
import os
import subprocess
from collections.abc import Callable
from math import exp, log

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Scorer = Callable[[], Floats]
"""Scores everybody, shape (people,)."""

ACRIBIS = "ZHUZHEN_BENCH_ACRIBIS"
"""Setting: the Python of an environment with acribis-scores 0.4.0, which is under the GPL and so is
only ever run in a process of its own."""
_MG_DL = 1 / 0.02586


def china_par_row_by_row(people: pd.DataFrame) -> Scorer:
    """China-PAR as it is written down in a notebook: one function, applied to each row."""
    return lambda: people.apply(_china_par, axis=1).to_numpy(np.float64)


def _china_par(row: "pd.Series[float]") -> float:
    age, sbp, waist = log(row["age_years"]), log(row["sbp_mmhg"]), log(row["waist_cm"])
    total = log(row["total_cholesterol_mmol_l"] * _MG_DL)
    hdl = log(row["hdl_cholesterol_mmol_l"] * _MG_DL)
    smoker, diabetes, treated = (
        row[name] for name in ("current_smoker", "diabetes", "antihypertensive_treatment")
    )
    north = row["region_of_china"] == 0
    if row["sex"] == 0:
        pressure = 27.388 - 6.018 * age if treated else 26.148 - 5.731 * age
        x = 31.967 * age + pressure * sbp + 0.621 * total - 0.695 * hdl - 0.712 * waist
        x += (3.955 - 0.939 * age) * smoker + 0.357 * diabetes + 0.475 * north
        x += (6.221 - 1.534 * age) * row["family_history_ascvd"] - 0.164 * (row["residence"] == 0)
        return float(100 * (1 - 0.9707 ** exp(x - 140.68)))
    pressure = 20.709 - 4.528 * age if treated else 19.982 - 4.360 * age
    x = 24.874 * age + pressure * sbp + 0.058 * total - 0.217 * hdl + 1.475 * waist
    x += 0.495 * smoker + 0.567 * diabetes + 0.544 * north
    return float(100 * (1 - 0.9851 ** exp(x - 117.26)))


def kfre_package(people: pd.DataFrame) -> Scorer:
    """Return the four-variable equation of the package kfre (MIT)."""
    from kfre import add_kfre_risk_col

    frame = pd.DataFrame(
        {
            "age": people["age_years"],
            "sex": np.where(people["sex"] == 1, "female", "male"),
            "egfr": people["egfr_ml_min_1_73m2"],
            "uacr": people["urine_acr_mg_mmol"] * 8.84,
        }
    )
    columns = {"age_col": "age", "sex_col": "sex", "eGFR_col": "egfr", "uACR_col": "uacr"}

    def score() -> Floats:
        scored = add_kfre_risk_col(frame, **columns, num_vars=4, years=5)
        percent: Floats = 100 * scored["kfre_4var_5year"].to_numpy(np.float64)
        return percent

    return score


def cvd_risk_pooled_cohort(people: pd.DataFrame) -> Scorer:
    """Return the pooled cohort equations of the package cvd-risk (MIT)."""
    from cvd_risk.models.ascvd import ASCVD

    frame = pd.DataFrame(
        {
            "age": people["age_years"].astype(int),
            "sex": np.where(people["sex"] == 1, "female", "male"),
            "systolic_bp": people["sbp_mmhg"],
            "total_cholesterol": people["total_cholesterol_mmol_l"],
            "hdl_cholesterol": people["hdl_cholesterol_mmol_l"],
            "smoking": people["current_smoker"] == 1,
            "diabetes": people["diabetes"] == 1,
            "antihypertensive": people["antihypertensive_treatment"] == 1,
            "race": "white",
        }
    )
    model = ASCVD()
    return lambda: model.calculate_batch(frame)["risk_score"].to_numpy(np.float64)


def cvd_risk_stroke_points(people: pd.DataFrame) -> Scorer:
    """Return CHA2DS2-VASc of the package cvd-risk (MIT)."""
    from cvd_risk.models.cha2ds2_vasc import CHA2DS2_VASc

    frame = pd.DataFrame(
        {
            "age": people["age_years"],
            "sex": np.where(people["sex"] == 1, "female", "male"),
            "congestive_heart_failure": people["heart_failure"] == 1,
            **{
                name: people[name] == 1
                for name in ("hypertension", "diabetes", "prior_stroke_tia", "vascular_disease")
            },
        }
    )
    model = CHA2DS2_VASc()
    return lambda: model.calculate_batch(frame)["risk_score"].to_numpy(np.float64)


_ACRIBIS_PROGRAM = """
import json, sys, time
from acribis_scores.chads_vasc import calc_chads_vasc_score
people = json.load(sys.stdin)
started = time.perf_counter()
scores = calc_chads_vasc_score(people)
print(json.dumps({"seconds": time.perf_counter() - started, "scores": list(scores.values())}))
"""


def acribis_stroke_points(people: pd.DataFrame) -> tuple[float, Floats] | None:
    """Return seconds and scores of CHA2DS2-VASc of acribis-scores; None where it is not there.

    It runs in a process of its own, which counts its own seconds.
    """
    python = os.environ.get(ACRIBIS)
    if python is None:
        return None
    age = people["age_years"]
    columns = {
        "Congestive heart failure/LV dysfunction": people["heart_failure"] == 1,
        "Hypertension": people["hypertension"] == 1,
        "Age ≥75y": age >= 75,
        "Diabetes mellitus": people["diabetes"] == 1,
        "Stroke/TIA/TE": people["prior_stroke_tia"] == 1,
        "Vascular diseases": people["vascular_disease"] == 1,
        "Age 65-74y": (age >= 65) & (age < 75),
        "Sex category": people["sex"] == 1,
    }
    told = pd.DataFrame(columns).to_dict("index")
    done = subprocess.run(
        [python, "-c", _ACRIBIS_PROGRAM],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    return float(found["seconds"]), np.array(found["scores"], np.float64)
