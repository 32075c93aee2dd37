"""Risk scores: in memory, from file to file, over HTTP, and beside the packages one would pick."""

import http.client
import json
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.bench import Bench
from benchmarks.figures import Bound, Figure, Section, Target
from benchmarks.inputs import PERSON
from benchmarks.peers import risk_scores
from benchmarks.rounds import Spread
from benchmarks.servers import Server, zhuzhen_spec
from models.risk.evaluation import evaluate
from models.risk.inputs import INPUTS
from models.risk.registry import find
from models.risk.score import Score
from serving.risk.population import score_file

Floats = NDArray[np.float64]
_PEOPLE, _PEOPLE_FOR_PEERS, _PEOPLE_IN_A_FILE = 1_000_000, 20_000, 1_000_000
_REQUESTS = 150
_EMPTY = "/v1/session"
_IN_MEMORY = Target(Bound.AT_LEAST, 5.0)
_FILES = Target(Bound.AT_LEAST, 0.5)
_HTTP = Target(Bound.AT_MOST, 3.0)
_POPULATION = ("china-par", "who-cvd-lab")
_METHOD = (
    "Made-up people, every one within the population of the scores. In memory: checks, equation "
    "and categories on one thread, from columns of numbers. From file to file: `zhuzhen risk "
    "batch` on Parquet with words and flags as people write them, results, categories and reasons "
    "written and the summary made, on all usable cores.",
    "Over HTTP: POST /v1/score-risk for one person (contributions, what-ifs and texts in two "
    "languages included) and, in turns on one connection, GET /v1/session, which does nothing but "
    "answer; both with the guard.",
    "Beside other packages: the same rows, given to each in the form that it takes, which is made "
    "before the clock starts. Ours checks every input against its range as well. `kfre` 0.1.18 "
    "and `cvd-risk` 0.1.48 (both MIT) are of the `bench` extra. `acribis-scores` 0.4.0 is under "
    "the GPL: it is run in a process of its own where "
    f"`{risk_scores.ACRIBIS}` names the Python of an environment that has it. `pyascvd` 0.1.0 "
    "cannot be run: its wheel for Linux holds no module of that name, only a library called "
    "maturin that does not import.",
    "A difference is the largest over all rows, in points or percentage points. Ours reproduce the "
    "examples of the papers ([risk-scores.md](risk-scores.md)); `cvd-risk` gives 0.00001 % for the "
    "pooled cohort equations' own example of a white man, for whom the paper gives 5.3 %.",
)


def measure(bench: Bench) -> Section:
    """Measure the risk scores."""
    rounds = bench.effort.slow_rounds
    quick = rounds == 1
    count = _PEOPLE_FOR_PEERS if quick else _PEOPLE
    figures = [
        Figure(
            f"{name} in memory, on one core",
            Spread.of([count / seconds / 1e6 for seconds in _in_memory(name, count, rounds)]),
            "million rows/s",
            _IN_MEMORY,
        )
        for name in _POPULATION
    ]
    figures += _files(_PEOPLE_FOR_PEERS if quick else _PEOPLE_IN_A_FILE, rounds)
    added, absolutes = _over_http(bench, rounds)
    ratios, differences = _beside_others(rounds)
    return Section(
        "risk", "Risk scores", _METHOD, (*figures, added, *ratios), (*absolutes, *differences)
    )


def made_up_columns(count: int) -> dict[str, Floats]:
    """Return people whom every score here takes, as columns of numbers, shape (count,) each."""
    draw = np.random.default_rng(1)
    numbers = {
        "age_years": draw.integers(40, 75, count),
        "sbp_mmhg": draw.normal(135, 18, count).clip(90, 200).round(),
        "total_cholesterol_mmol_l": draw.normal(5, 0.9, count).clip(3.4, 8).round(2),
        "hdl_cholesterol_mmol_l": draw.normal(1.3, 0.2, count).clip(0.6, 2.2).round(2),
        "waist_cm": draw.normal(85, 9, count).clip(60, 130).round(1),
        "egfr_ml_min_1_73m2": draw.uniform(10, 59, count).round(1),
        "urine_acr_mg_mmol": draw.lognormal(2, 1.2, count).clip(0.2, 400).round(2),
    }
    flags = ("diabetes", "current_smoker", "antihypertensive_treatment", "family_history_ascvd")
    more = ("hypertension", "heart_failure", "prior_stroke_tia", "vascular_disease")
    halves = ("sex", "region_of_china", "residence", *flags, *more)
    found = {name: np.asarray(column, np.float64) for name, column in numbers.items()}
    found |= {name: (draw.random(count) < 0.3).astype(np.float64) for name in halves}
    country = float(INPUTS["country"].places["CHN"])
    return found | {"country": np.full(count, country), "race": np.zeros(count)}


def _in_memory(name: str, count: int, rounds: int) -> list[float]:
    score, columns = find(name), made_up_columns(count)
    evaluate(score, columns, count)
    return [_seconds(lambda: evaluate(score, columns, count))[0] for _ in range(rounds)]


def _seconds(work: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def _files(count: int, rounds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "people.parquet"
        pq.write_table(_as_written(made_up_columns(count)), source)
        figures = []
        for name in _POPULATION:
            score = find(name)
            score_once = partial(score_file, score, source, Path(folder) / "scored.parquet")
            times = [_seconds(score_once)[0] for _ in range(rounds)]
            rates = Spread.of([count / seconds / 1e6 for seconds in times])
            figures.append(Figure(f"{name}, Parquet to Parquet", rates, "million rows/s", _FILES))
        return figures


def _as_written(columns: Mapping[str, Floats]) -> pa.Table:
    """Return the people as a programme writes them: words for choices, true and false."""
    told = {}
    for name, column in columns.items():
        words = INPUTS[name].choices
        if words:
            told[name] = np.array(words)[column.astype(np.intp)]
        else:
            flag = INPUTS[name].kind == "flag"
            told[name] = column == 1 if flag else column
    return pa.table(told)


def _over_http(bench: Bench, rounds: int) -> tuple[Figure, tuple[Figure, ...]]:
    body = json.dumps({"scores": "china-par", "person": PERSON})
    added, scored, empty = [], [], []
    with Server(zhuzhen_spec()) as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        # The first request that converts a unit waits for the table of units.
        for _ in range(5):
            _request(connection, bench.key, body)
        for _ in range(rounds):
            pairs = [
                (_request(connection, bench.key, None), _request(connection, bench.key, body))
                for _ in range(_REQUESTS // rounds if rounds > 1 else 10)
            ]
            nothing, something = (float(np.median(each)) for each in zip(*pairs, strict=True))
            added.append(1e3 * (something - nothing))
            scored.append(1e3 * something)
            empty.append(1e3 * nothing)
        connection.close()
    return (
        Figure("added by POST /v1/score-risk", Spread.of(added), "ms", _HTTP),
        (
            Figure("POST /v1/score-risk", Spread.of(scored), "ms"),
            Figure(f"GET {_EMPTY}", Spread.of(empty), "ms"),
        ),
    )


def _request(connection: http.client.HTTPConnection, key: str, body: str | None) -> float:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    started = time.perf_counter()
    if body is None:
        connection.request("GET", _EMPTY, headers=headers)
    else:
        connection.request("POST", "/v1/score-risk", body, headers)
    answer = connection.getresponse()
    answer.read()
    seconds = time.perf_counter() - started
    if answer.status != http.HTTPStatus.OK:
        raise RuntimeError(f"the service answered {answer.status}")
    return seconds


def _beside_others(rounds: int) -> tuple[list[Figure], list[Figure]]:
    people = pd.DataFrame(made_up_columns(_PEOPLE_FOR_PEERS))
    others = {
        ("china-par", "pandas, row by row"): risk_scores.china_par_row_by_row,
        ("kfre-4", "kfre"): risk_scores.kfre_package,
        ("pce-2013", "cvd-risk"): risk_scores.cvd_risk_pooled_cohort,
        ("cha2ds2-vasc", "cvd-risk"): risk_scores.cvd_risk_stroke_points,
    }
    ratios, differences = [], []
    for (name, peer), scorer_for in others.items():
        ours, theirs = _ours(find(name), people), scorer_for(people)
        faster = []
        for _ in range(rounds):
            own, values = _seconds(ours)
            other, found = _seconds(theirs)
            faster.append(other / own)
        ratios.append(Figure(f"{name}: {peer} takes, of ours", Spread.of(faster), "x"))
        differences.append(_difference(name, peer, values, found))
    acribis = risk_scores.acribis_stroke_points(people)
    if acribis is not None:
        own, values = _seconds(_ours(find("cha2ds2-vasc"), people))
        told = "cha2ds2-vasc: acribis-scores takes, of ours"
        ratios.append(Figure(told, Spread.of([acribis[0] / own]), "x"))
        differences.append(_difference("cha2ds2-vasc", "acribis-scores", values, acribis[1]))
    return ratios, differences


def _ours(score: Score, people: pd.DataFrame) -> Any:
    columns = {name: people[name].to_numpy(np.float64) for name in people}
    if score.need("atrial_fibrillation") is not None:
        columns["atrial_fibrillation"] = np.ones(len(people))
    if score.id == "kfre-4":
        columns["region"] = np.full(len(people), float(INPUTS["region"].places["other"]))
    return lambda: evaluate(score, columns, len(people)).values


def _difference(name: str, peer: str, ours: Floats, theirs: Floats) -> Figure:
    if not np.isfinite(ours).all():
        raise RuntimeError(f"{name} refused {int((~np.isfinite(ours)).sum())} of the people")
    largest = float(np.nanmax(np.abs(ours - theirs)))
    return Figure(f"{name}: largest difference from {peer}", Spread.of([largest]), "points")
