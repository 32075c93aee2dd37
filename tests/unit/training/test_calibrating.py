from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.errors import DataError
from training import metrics
from training.calibrating import CalibrationConfig, conformal_bounds, fit, fit_weights

Truth = NDArray[np.bool_]
Numbers = NDArray[np.float64]
CONFIG = CalibrationConfig(conformal_coverage=0.9)


def planted(
    slope: float, intercept: float, images: int = 5_000, seed: int = 0
) -> tuple[Numbers, Truth]:
    """Logits whose finding is present with probability sigmoid(slope * logit + intercept)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, images)
    truth = rng.random(images) < 1 / (1 + np.exp(-(slope * logits + intercept)))
    return logits, truth


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, 0.8), (2.0, -1.5), (0.3, -0.4)])
def test_planted_parameters_are_recovered(slope: float, intercept: float) -> None:
    logits, truth = planted(slope, intercept)
    found = fit(logits, truth, np.ones(len(truth)), CONFIG)
    assert found.slope == pytest.approx(slope, abs=0.12)
    assert found.intercept == pytest.approx(intercept, abs=0.12)


def test_fitted_probabilities_are_calibrated_on_other_images() -> None:
    found = fit(*planted(0.6, -0.5), np.ones(5_000), CONFIG)
    logits, truth = planted(0.6, -0.5, seed=1)
    probability = np.array([found.probability(logit) for logit in logits])
    raw = 1 / (1 + np.exp(-logits))
    assert metrics.calibration_error(truth, probability, np.ones(len(truth))) < 0.05
    assert metrics.calibration_error(truth, raw, np.ones(len(truth))) > 0.1


def test_an_image_of_weight_three_counts_as_three() -> None:
    logits, truth = planted(0.8, 0.3, images=300)
    weights = np.random.default_rng(1).integers(1, 4, 300)
    weighted = fit(logits, truth, weights.astype(np.float64), CONFIG)
    copies = np.repeat(np.arange(300), weights)
    repeated = fit(logits[copies], truth[copies], np.ones(len(copies)), CONFIG)
    assert weighted.slope == pytest.approx(repeated.slope, rel=1e-3)
    assert weighted.intercept == pytest.approx(repeated.intercept, abs=1e-3)
    assert weighted.operating_point == pytest.approx(repeated.operating_point, abs=1e-3)


def test_separable_images_get_a_finite_slope() -> None:
    truth = np.arange(40) >= 20
    found = fit(np.where(truth, 3.0, -3.0) + np.linspace(-0.1, 0.1, 40), truth, np.ones(40), CONFIG)
    assert 0.5 < found.slope < 5


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_conformal_sets_cover_each_class_on_other_images(coverage: float) -> None:
    config = replace(CONFIG, conformal_coverage=coverage)
    found = fit(*planted(1.0, 0.5, images=4000), np.ones(4000), config)
    logits, truth = planted(1.0, 0.5, seed=1)
    probability = np.array([found.probability(logit) for logit in logits])
    assert (probability[truth] >= found.present_from).mean() == pytest.approx(coverage, abs=0.02)
    assert (probability[~truth] <= found.absent_to).mean() == pytest.approx(coverage, abs=0.02)


def test_conformal_bounds_by_hand() -> None:
    """Of 9 images and the new one, 80 % is the 8th: (n + 1) * coverage, Vovk's quantile."""
    probability = np.concatenate([np.linspace(0.1, 0.9, 9), np.linspace(0.05, 0.85, 9)])
    truth = np.arange(18) < 9
    present_from, absent_to = conformal_bounds(probability, truth, np.ones(18), 0.8)
    assert present_from == pytest.approx(0.2)
    assert absent_to == pytest.approx(0.75)


def test_too_few_images_exclude_nothing() -> None:
    probability = np.concatenate([np.linspace(0.5, 0.9, 9), np.linspace(0.1, 0.5, 9)])
    bounds = conformal_bounds(probability, np.arange(18) < 9, np.ones(18), 0.95)
    assert bounds == (0.0, 1.0)


def test_image_at_the_bound_is_within_its_own_set() -> None:
    """The coverage that is promised counts the image that the bound was taken from."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        probability = 1 / (1 + np.exp(-rng.normal(0, 3, 50)))
        truth = np.arange(50) < 25
        present_from, absent_to = conformal_bounds(probability, truth, np.ones(50), 0.9)
        # 24 of 25 images are at least ceil(26 * 0.9), so one of each class may be left out.
        assert (probability[truth] >= present_from).sum() >= 24
        assert (probability[~truth] <= absent_to).sum() >= 24


@pytest.mark.parametrize("prevalence", [None, 0.2, 0.625])
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_weights_keep_the_stated_prevalence(prevalence: float | None, power: float) -> None:
    rng = np.random.default_rng(0)
    truth, matched = rng.random(500) < 0.7, rng.uniform(0.02, 1, 500)
    config = CalibrationConfig(shift_power=power, prevalence=prevalence)
    weights = fit_weights(truth, matched, config)
    share = truth.mean() if prevalence is None else prevalence
    assert weights.mean() == pytest.approx(1)
    assert weights[truth].sum() / weights.sum() == pytest.approx(share)
    ratio = weights[truth] / weights[truth][0]
    np.testing.assert_allclose(ratio, (matched[truth] / matched[truth][0]) ** power)


def fitted_point(criterion: str, logits: Numbers, truth: Truth, weights: Numbers) -> float:
    config = CalibrationConfig(operating_point=criterion, fixed_operating_point=0.37)
    return fit(logits, truth, weights, config).operating_point


@pytest.mark.parametrize("criterion", ["accuracy", "balanced_accuracy"])
def test_operating_point_is_as_good_as_any(criterion: str) -> None:
    logits, truth = planted(0.7, 1.2, images=300)
    ones = np.ones(300)
    config = CalibrationConfig(operating_point=criterion)
    found = fit(logits, truth, ones, config)
    probability = np.array([found.probability(logit) for logit in logits])

    def gain(point: float) -> float:
        called = probability >= point
        if criterion == "accuracy":
            return metrics.accuracy(truth, called, ones)
        sensitivity = metrics.sensitivity(truth, called, ones)
        return (sensitivity + metrics.specificity(truth, called, ones)) / 2

    best = max(gain(point) for point in np.linspace(0, 1, 2001))
    assert gain(found.operating_point) >= best - 1e-9


def test_criteria_differ_where_the_classes_are_uneven() -> None:
    logits, truth = planted(0.7, 1.5, images=2000)
    ones = np.ones(2000)
    accuracy = fitted_point("accuracy", logits, truth, ones)
    assert fitted_point("balanced_accuracy", logits, truth, ones) > accuracy + 0.1
    assert fitted_point("fixed", logits, truth, ones) == 0.37


def test_operating_point_of_separable_images_is_between_them() -> None:
    truth = np.arange(40) >= 20
    logits = np.where(truth, 2.0, -2.0) + np.linspace(-0.5, 0.5, 40)
    found = fit(logits, truth, np.ones(40), CONFIG)
    below, above = found.probability(logits[~truth].max()), found.probability(logits[truth].min())
    assert below < found.operating_point < above


@pytest.mark.parametrize("present", [True, False])
def test_one_class_alone_is_refused(present: bool) -> None:
    with pytest.raises(DataError, match="both classes"):
        fit(np.arange(5.0), np.full(5, present), np.ones(5), CONFIG)


def test_logits_that_fall_with_the_finding_are_refused() -> None:
    logits, truth = planted(1.0, 0.0, images=200)
    with pytest.raises(DataError, match="slope of -"):
        fit(-logits, truth, np.ones(200), CONFIG)
