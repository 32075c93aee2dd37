"""Every expected value of vectors.csv, within its tolerance, by the way that a table takes."""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.risk.column_names import column_name
from models.risk.evaluation import Outcome, evaluate
from models.risk.prevent import prevent
from models.risk.reading import read_column
from models.risk.registry import SCORES
from models.risk.score import Columns, Score, Status

ROWS = list(csv.DictReader(Path(__file__).with_name("vectors.csv").read_text("utf-8").splitlines()))
BY_NAME: Mapping[str, list[dict[str, str]]] = defaultdict(list)
for _row in ROWS:
    BY_NAME[_row["score"]].append(_row)

OURS = {
    "chinapar_10y": "china-par",
    "who2019_lab_east_asia": "who-cvd-lab",
    "who2019_nonlab_east_asia": "who-cvd-nonlab",
    "pce_2013": "pce-2013",
    "score2": "score2",
    "score2_op": "score2-op",
    "score2_dm": "score2-diabetes",
    "score2_ap": "score2-asia-pacific",
    "framingham_cvd": "framingham-cvd",
    "framingham_bmi": "framingham-cvd",
    "framingham_htn": "framingham-hypertension",
    "findrisc": "findrisc",
    "ncdrs": "ncdrs",
    "ada_risk": "ada-risk",
    "ckdepi2021": "ckd-epi-2021",
    "ckdepi2021_umol": "ckd-epi-2021",
    "ckdepi2009": "ckd-epi-2009",
    "kdigo_risk": "kdigo",
    "kfre4": "kfre-4",
    "kfre6": "kfre-6",
    "kfre8": "kfre-8",
    "fib4": "fib-4",
    "cha2ds2va": "cha2ds2-va",
    "cha2ds2vasc": "cha2ds2-vasc",
    "news2": "news2",
    "phq9_band": "phq-9",
    "gad7_band": "gad-7",
    "bp_grade_cn": "bp-grade-cn",
    "bmi_class_cn": "bmi-class-cn",
}
KDIGO_WORDS = {"Low": "low", "Moderately": "moderate", "High": "high", "Very": "very_high"}
THIRTY_YEARS_ENDS_AT = 60


def score_of(name: str) -> Score:
    return SCORES["prevent" if name.startswith("prevent_") else OURS[name]]


def known_of(row: dict[str, str]) -> dict[str, Any]:
    """What a row tells, and what its name tells beside it."""
    known: dict[str, Any] = json.loads(row["inputs"])
    if row["score"].startswith("prevent_"):
        _, model, years, outcome = row["score"].split("_")
        known |= {"prevent_model": model, "prevent_outcome": outcome, "years": int(years[:-1])}
    if row["score"].startswith("who2019_"):
        known["country"] = "CHN"
    return known


def columns_of(name: str) -> Columns:
    """All rows of a name as a table, with the file's own column names."""
    score, people = score_of(name), [known_of(row) for row in BY_NAME[name]]
    columns = {}
    for written in {key for person in people for key in person}:
        column = column_name(written, score)
        assert column is not None, f"{name}: no input is called {written}"
        columns[column.input] = read_column(column, [person.get(written) for person in people])
    return columns


def not_shown(name: str, known: Mapping[str, Any]) -> bool:
    """PREVENT's 30-year risk is for people below 60: the doors refuse, the equation agrees."""
    return "_30y_" in name and known["age"] >= THIRTY_YEARS_ENDS_AT


def category_of(score: Score, outcome: Outcome, place: int) -> str:
    name: str = score.bands[outcome.bands[place]].name
    return name


def expected_category(row: dict[str, str]) -> str:
    if row["score"] == "kdigo_risk":
        stages: dict[str, str] = json.loads(row["expected"])
        return KDIGO_WORDS[stages["risk_category"].split()[0]]
    expected: str = row["expected"]
    return expected


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_expected_values(name: str) -> None:
    score, rows = score_of(name), BY_NAME[name]
    columns = columns_of(name)
    outcome = evaluate(score, columns, len(rows))
    checked = 0
    for place, row in enumerate(rows):
        told = f"{name} {row['inputs']} ({row['origin']})"
        value = float(outcome.values[place])
        if not_shown(name, known_of(row)):
            assert outcome.status[place] == Status.OUT_OF_POPULATION, told
            value = float(_prevent_at_any_age(columns, place))
        if row["tolerance"] == "exact":
            assert category_of(score, outcome, place) == expected_category(row), told
        else:
            percent = 100 if row["unit"] == "fraction" else 1
            allowed = float(row["tolerance"])
            assert abs(value / percent - float(row["expected"])) <= allowed, told
        checked += 1
    assert checked == len(rows)


def _prevent_at_any_age(columns: Columns, place: int) -> np.float64:
    one = {name: column[place : place + 1] for name, column in columns.items()}
    one["urine_acr_mg_mmol"] = one.get("urine_acr_mg_g", np.array([np.nan])) / 8.84
    for absent in ("hba1c_percent", "sdi_decile"):
        one.setdefault(absent, np.array([np.nan]))
    return np.float64(prevent(one)[0])


def test_kdigo_stages() -> None:
    columns = columns_of("kdigo_risk")
    full = {**columns, "urine_acr_mg_g": np.full(len(BY_NAME["kdigo_risk"]), np.nan)}
    for stage in SCORES["kdigo"].stages:
        found = [stage.names[place] for place in stage.stage(full)]
        assert found == [json.loads(row["expected"])[stage.name] for row in BY_NAME["kdigo_risk"]]


def test_no_row_and_no_score_is_left_out() -> None:
    assert len(ROWS) == 1281
    assert sum(Counter(row["score"] for row in ROWS).values()) == sum(map(len, BY_NAME.values()))
    tested = {score_of(name).id for name in BY_NAME}
    assert tested == set(SCORES), "a score without expected values needs a stated reason here"
