"""Intercept and slope, held against other programs."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from models.errors import DataError
from models.risk.scales import Scale, on_scale, to_percent
from training.recalibration.fitting import fit, log_score
from training.tables.survival import within_horizon

RNG = np.random.default_rng(5)
PREDICTOR = RNG.normal(-2.5, 1.0, 4000)
WEIGHTS = RNG.uniform(0.5, 2.0, 4000)


def came(scale: Scale, intercept: float, slope: float, seed: int = 1) -> np.ndarray:
    risk = to_percent(scale, intercept + slope * PREDICTOR) / 100
    return np.random.default_rng(seed).random(len(PREDICTOR)) < risk


def test_logit_agrees_with_scikit_learn() -> None:
    truth = came(Scale.LOG_ODDS, 0.5, 0.8)
    other = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    other.fit(PREDICTOR[:, None], truth, WEIGHTS)

    intercept, slope = fit(Scale.LOG_ODDS, PREDICTOR, truth, WEIGHTS)

    assert intercept == pytest.approx(other.intercept_[0], abs=1e-5)
    assert slope == pytest.approx(other.coef_[0, 0], abs=1e-5)


@pytest.mark.parametrize("scale", [Scale.LOG_HAZARD, Scale.LOG_ODDS])
def test_it_is_the_maximum_that_a_general_optimiser_finds(scale: Scale) -> None:
    truth = came(scale, -0.4, 1.3)

    def loss(at: np.ndarray) -> float:
        return -log_score(scale, at[0] + at[1] * PREDICTOR, truth, WEIGHTS)

    best = minimize(loss, [0.0, 1.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-14})
    np.testing.assert_allclose(fit(scale, PREDICTOR, truth, WEIGHTS), best.x, atol=1e-5)

    held = minimize(lambda at: loss(np.array([at[0], 1.0])), [0.0], method="Nelder-Mead")
    intercept, slope = fit(scale, PREDICTOR, truth, WEIGHTS, slope=1.0)
    assert intercept == pytest.approx(held.x[0], abs=1e-3)
    assert slope == 1.0


@pytest.mark.parametrize("scale", [Scale.LOG_HAZARD, Scale.LOG_ODDS])
def test_a_weight_of_two_is_a_person_twice_and_of_none_nobody(scale: Scale) -> None:
    truth = came(scale, 0.2, 0.9)
    twice = np.where(np.arange(len(truth)) < 500, 2.0, np.where(np.arange(len(truth)) < 3000, 1, 0))
    people = np.repeat(np.arange(len(truth)), twice.astype(int))

    weighted = fit(scale, PREDICTOR, truth, twice)

    repeated = fit(scale, PREDICTOR[people], truth[people], np.ones(len(people)))
    np.testing.assert_allclose(weighted, repeated, atol=1e-9)


@pytest.mark.parametrize("truth", [np.zeros(4000, bool), np.ones(4000, bool), PREDICTOR > -2])
def test_what_has_no_maximum_is_refused(truth: np.ndarray) -> None:
    with pytest.raises(DataError, match="cannot be fitted"):
        fit(Scale.LOG_HAZARD, PREDICTOR, truth, np.ones(4000))


def test_scales_invert() -> None:
    percent = np.array([0.01, 1.0, 50.0, 99.0])
    for scale in (Scale.LOG_HAZARD, Scale.LOG_ODDS):
        np.testing.assert_allclose(to_percent(scale, on_scale(scale, percent)), percent)
    with pytest.raises(ValueError, match="not a scale of probabilities"):
        to_percent(Scale.VALUE, percent)


def test_another_death_before_the_horizon_is_a_known_outcome_and_no_loss() -> None:
    """Four people: event at 2, other death at 4, lost at 5, followed for 10 years exactly."""
    event = np.array([True, False, False, False])
    other = np.array([False, True, False, False])
    truth, weights = within_horizon(event, np.array([2.0, 4.0, 5.0, 10.0]), 10.0, other)
    np.testing.assert_array_equal(truth, event)
    # One of two was lost at 5 years: the one who stayed counts for both.
    np.testing.assert_allclose(weights, [1, 1, 0, 2])
