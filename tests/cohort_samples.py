"""Made-up cohorts in which the published risk is wrong by a known intercept and slope."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.risk.column_names import column_name
from models.risk.evaluation import evaluate
from models.risk.reading import read_column
from models.risk.registry import find
from models.risk.scales import on_scale, to_percent
from models.risk.score import Floats


@dataclass(frozen=True, slots=True)
class MadeUp:
    """A cohort and what is true of it."""

    table: pd.DataFrame
    """Inputs, `event`, `years`; 2 in `event` is a death of another cause."""
    predictor: Floats
    """Published, on the score's scale; shape (people,)."""
    true_percent: Floats
    """Within ten years; shape (people,)."""


def made_up_people(count: int, seed: int = 0) -> pd.DataFrame:
    """People whom china-par and who-cvd-lab take."""
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age_years": draw.uniform(40, 74, count).round(1),
            "sex": draw.choice(["male", "female"], count),
            "country": "CHN",
            "sbp_mmhg": draw.normal(135, 18, count).clip(85, 220).round(),
            "total_cholesterol_mmol_l": draw.normal(5, 0.9, count).clip(2.5, 10).round(2),
            "hdl_cholesterol_mmol_l": draw.normal(1.3, 0.2, count).clip(0.6, 2.2).round(2),
            "waist_cm": draw.normal(85, 9, count).clip(60, 130).round(1),
            "current_smoker": draw.random(count) < 0.3,
            "diabetes": draw.random(count) < 0.15,
            "antihypertensive_treatment": draw.random(count) < 0.2,
            "region_of_china": draw.choice(["north", "south"], count),
            "residence": draw.choice(["urban", "rural"], count),
            "family_history_ascvd": draw.random(count) < 0.1,
        }
    )


def made_up_cohort(
    score_id: str,
    intercept: float,
    slope: float,
    count: int = 12_000,
    seed: int = 0,
    *,
    lost_per_year: float = 0.0,
    dead_per_year: float = 0.0,
) -> MadeUp:
    """A cohort in which risk is g(intercept + slope * published predictor), exactly.

    The hazard of each person is constant, so that the event's time is exponential with the right
    risk at ten years; losses and other deaths come at constant rates of their own.
    """
    score, table = find(score_id), made_up_people(count, seed)
    columns = {
        meant.input: read_column(meant, table[name].to_numpy())
        for name in table
        if (meant := column_name(name, score)) is not None
    }
    predictor = on_scale(score.scale, evaluate(score, columns, count).values)
    percent = to_percent(score.scale, intercept + slope * predictor)
    draw = np.random.default_rng(seed + 1)
    event = draw.exponential(size=count) * 10 / -np.log1p(-percent / 100)
    dead = draw.exponential(size=count) / max(dead_per_year, 1e-9)
    lost = np.minimum(draw.exponential(size=count) / max(lost_per_year, 1e-9), 12.0)
    table["years"] = np.minimum(np.minimum(event, dead), lost)
    table["event"] = np.select([event == table["years"], dead == table["years"]], [1, 2], 0)
    return MadeUp(table, predictor, percent)
