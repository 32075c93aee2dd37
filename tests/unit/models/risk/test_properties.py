"""What must hold for every score, whatever the person."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import InputError
from models.risk.assessment import assess, read_person
from models.risk.evaluation import evaluate
from models.risk.input_kinds import Kind
from models.risk.inputs import INPUTS
from models.risk.reading import read_value
from models.risk.registry import SCORES
from models.risk.score import Columns, Score, Status
from models.risk.units import conversion
from tests.unit.models.risk.risk_samples import person_of

SCORE_IDS = sorted(SCORES)
CHOSEN = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def one_person(score: Score, **changes: float) -> Columns:
    person = read_person(person_of(score.id), score)
    columns = {name: np.array([given.value]) for name, given in person.items()}
    return {**columns, **{name: np.array([float(value)]) for name, value in changes.items()}}


def people(score: Score, seed: int, count: int) -> Columns:
    """Random people: most within reach of the score, some missing, absurd or not understood."""
    generator = np.random.default_rng(seed)
    base = one_person(score)
    columns = {}
    for need in score.checked:
        entry = INPUTS[need.name]
        low = max(need.low, entry.low) if math.isfinite(need.low) else entry.low
        high = min(need.high, entry.high)
        if entry.kind is Kind.NUMBER and not entry.whole:
            column = generator.uniform(low - 0.1 * (high - low), high + 0.1 * (high - low), count)
            typical = base.get(need.name, np.array([np.nan]))[0]
            column = np.where(generator.random(count) < 0.5, typical, column)
        else:
            column = generator.integers(int(low), int(high) + 1, count).astype(np.float64)
        odd = generator.random(count)
        column[odd < 0.03] = np.nan
        column[(odd > 0.98)] = generator.choice([np.inf, -np.inf, 1e308, -1e308])
        columns[need.name] = column
    return columns


@pytest.mark.parametrize("score_id", SCORE_IDS)
def test_a_person_of_its_population_gets_a_number(score_id: str) -> None:
    score = SCORES[score_id]
    assessment = assess(score, read_person(person_of(score_id), score))
    assert assessment.value is not None, [refusal.told.en for refusal in assessment.refusals]
    assert math.isfinite(assessment.value)
    assert assessment.summary.zh
    assert assessment.category is not None or not score.bands


@pytest.mark.parametrize("score_id", SCORE_IDS)
@CHOSEN
@given(seed=st.integers(0, 2**32 - 1))
def test_batch_equals_single_in_any_order_and_no_nan_escapes(score_id: str, seed: int) -> None:
    score, count = SCORES[score_id], 12
    columns = people(score, seed, count)
    together = evaluate(score, columns, count)
    has_value = together.status <= Status.EXTRAPOLATED
    assert np.isfinite(together.values[has_value]).all()
    assert np.isnan(together.values[~has_value]).all()
    assert ((together.bands >= 0) <= has_value).all()
    order = np.random.default_rng(seed).permutation(count)
    shuffled = evaluate(score, {name: column[order] for name, column in columns.items()}, count)
    np.testing.assert_array_equal(shuffled.values, together.values[order])
    np.testing.assert_array_equal(shuffled.status, together.status[order])
    for place in range(count):
        alone = evaluate(
            score, {name: column[place : place + 1] for name, column in columns.items()}, 1
        )
        assert alone.status[0] == together.status[place]
        assert alone.blamed[0] == together.blamed[place]
        np.testing.assert_allclose(alone.values[0], together.values[place], rtol=1e-13)


RISING = [
    ("china-par", "sbp_mmhg"),
    ("china-par", "total_cholesterol_mmol_l"),
    ("who-cvd-lab", "age_years"),
    ("who-cvd-lab", "sbp_mmhg"),
    ("who-cvd-lab", "total_cholesterol_mmol_l"),
    ("who-cvd-nonlab", "bmi_kg_m2"),
    ("ncdrs", "waist_cm"),
    ("ncdrs", "age_years"),
    ("findrisc", "bmi_kg_m2"),
    ("fib-4", "ast_u_l"),
    ("kfre-4", "urine_acr_mg_mmol"),
    ("bp-grade-cn", "sbp_mmhg"),
    ("pce-2013", "sbp_mmhg"),
    ("score2", "sbp_mmhg"),
    ("framingham-cvd", "age_years"),
    ("cha2ds2-va", "age_years"),
    ("kdigo", "urine_acr_mg_mmol"),
]
FALLING = [
    ("china-par", "hdl_cholesterol_mmol_l"),
    ("ckd-epi-2021", "creatinine_umol_l"),
    ("ckd-epi-2009", "age_years"),
    ("kfre-4", "egfr_ml_min_1_73m2"),
    ("fib-4", "platelets_10_9_l"),
    ("kdigo", "egfr_ml_min_1_73m2"),
]


@pytest.mark.parametrize(
    ("score_id", "name", "sign"),
    [(*pair, 1) for pair in RISING] + [(*pair, -1) for pair in FALLING],
)
@pytest.mark.parametrize("sex", [0.0, 1.0])
def test_monotone_where_the_equation_is(score_id: str, name: str, sign: int, sex: float) -> None:
    score = SCORES[score_id]
    need = score.need(name)
    assert need is not None
    low, high = max(need.low, INPUTS[name].low), min(need.high, INPUTS[name].high)
    grid = np.linspace(low, high, 200)
    columns = {k: np.repeat(v, 200) for k, v in one_person(score, sex=sex).items()}
    outcome = evaluate(score, {**columns, name: grid}, 200)
    values = outcome.values[outcome.status <= Status.EXTRAPOLATED]
    assert len(values) > 20
    assert (sign * np.diff(values) >= -1e-9).all()


UNITS = [
    ("total_cholesterol_mmol_l", "mg/dL", 1 / 0.02586),
    ("hdl_cholesterol_mmol_l", "mg/dL", 1 / 0.02586),
    ("creatinine_umol_l", "mg/dL", 1 / 88.4),
    ("serum_albumin_g_l", "g/dL", 0.1),
    ("calcium_mmol_l", "mg/dL", 4.008),
    ("phosphate_mmol_l", "mg/dL", 3.097),
    ("height_cm", "m", 0.01),
    ("sbp_mmhg", "kPa", 0.133322),
    ("platelets_10_9_l", "10*3/uL", 1),
]


@pytest.mark.parametrize(("name", "unit", "per_own"), UNITS)
def test_units_convert_by_the_sources_factors_and_back(
    name: str, unit: str, per_own: float
) -> None:
    factor, offset = conversion(INPUTS[name], unit)
    assert offset == 0
    assert factor * per_own == pytest.approx(1, rel=1e-5)


def test_hba1c_and_temperature_have_an_offset() -> None:
    factor, offset = conversion(INPUTS["hba1c_percent"], "mmol/mol")
    assert 48 * factor + offset == pytest.approx(6.54, abs=0.01)
    factor, offset = conversion(INPUTS["temperature_c"], "[degF]")
    assert 98.6 * factor + offset == pytest.approx(37)


@CHOSEN
@given(mg_dl=st.floats(60, 600))
def test_conversion_and_scoring_commute(mg_dl: float) -> None:
    score = SCORES["who-cvd-lab"]
    person = person_of(score.id)
    sent = {**person, "total_cholesterol_mmol_l": {"value": mg_dl, "unit": "mg/dL"}}
    own = {**person, "total_cholesterol_mmol_l": mg_dl * 0.02586}
    by_unit, direct = (assess(score, read_person(one, score)).value for one in (sent, own))
    assert by_unit == pytest.approx(direct, rel=1e-9)


HOSTILE: st.SearchStrategy[Any] = st.one_of(
    st.text(max_size=80),
    st.integers(),
    st.integers(10**300, 10**400),
    st.floats(),
    st.booleans(),
    st.none(),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.sampled_from(["value", "unit", "date", "x"]), st.text(max_size=9)),
    st.sampled_from(
        ["'; DROP TABLE", "1e999", "٣٤", "NaN", "inf", "0x10", "1_000", "9" * 400, "=1+1", "\x00"]
    ),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(["age_years", "sbp_mmhg", "sex", "current_smoker", "country"]),
    sent=HOSTILE,
)
def test_hostile_values_are_refused_or_finite(name: str, sent: Any) -> None:
    score = SCORES["who-cvd-lab"]
    assessment = assess(score, read_person({**person_of(score.id), name: sent}, score))
    if assessment.value is not None:
        assert math.isfinite(assessment.value)
    else:
        assert name in {refusal.input for refusal in assessment.refusals}
        assert all(len(refusal.told.en) < 300 for refusal in assessment.refusals)


@pytest.mark.parametrize(
    "sent", ["1e999", "9" * 400, 10**400, float("inf"), "0x50", "一百", [], {}]
)
def test_what_is_no_number_is_not_understood(sent: object) -> None:
    assert math.isinf(read_value("sbp_mmhg", sent).value)


def test_unknown_and_doubled_names_are_told() -> None:
    with pytest.raises(InputError, match="did you mean sbp_mmhg"):
        read_person({"sbp_mmgh": 120})
    with pytest.raises(InputError, match="given twice"):
        read_person({"age": 50, "age_years": 50})
