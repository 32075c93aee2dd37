import math

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    confusion_matrix,
    roc_auc_score,
)

from training import metrics
from training.metrics import BINS, Scored


def scored(images: int = 400, seed: int = 0, decimals: int = 2) -> Scored:
    """Probabilities with ties and weights, of patients with several images each."""
    rng = np.random.default_rng(seed)
    truth = rng.random(images) < 0.6
    probability = np.clip(rng.normal(0.35 + 0.3 * truth, 0.25), 0, 1).round(decimals)
    groups = rng.integers(0, images // 3, images).astype(str)
    return Scored(truth, probability, groups, rng.uniform(0.02, 1, images))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("point", [0.2, 0.5, 0.8])
def test_figures_agree_with_scikit_learn(seed: int, weighted: bool, point: float) -> None:
    part = scored(seed=seed) if weighted else scored(seed=seed).unweighted()
    truth, probability, weights = part.truth, part.probability, part.weights
    called = probability >= point
    (tn, fp), (fn, tp) = confusion_matrix(truth, called, sample_weight=weights)
    expected = {
        "auc": roc_auc_score(truth, probability, sample_weight=weights),
        "accuracy": accuracy_score(truth, called, sample_weight=weights),
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "brier": brier_score_loss(truth, probability, sample_weight=weights),
    }
    found = metrics.score_all(part, point)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name


def test_auc_without_weights_counts_every_image_once() -> None:
    part = scored()
    expected = roc_auc_score(part.truth, part.probability)
    assert metrics.auc(part.truth, part.probability) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("truth", "score", "expected"),
    [
        ([0, 1], [0.1, 0.9], 1.0),
        ([0, 1], [0.9, 0.1], 0.0),
        ([0, 1], [0.5, 0.5], 0.5),
        ([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 0.75),
    ],
)
def test_auc_by_hand(truth: list[int], score: list[float], expected: float) -> None:
    assert metrics.auc(np.array(truth, np.bool_), np.array(score)) == expected


@pytest.mark.parametrize("present", [True, False])
def test_figures_of_one_class_are_undefined(present: bool) -> None:
    truth, ones = np.full(4, present), np.ones(4)
    called = np.array([True, False, True, True])
    assert math.isnan(metrics.auc(truth, np.arange(4.0)))
    absent = metrics.specificity if present else metrics.sensitivity
    assert math.isnan(absent(truth, called, ones))


def test_calibration_error_by_hand() -> None:
    """15 images a bin, each with one probability: the error is the mean gap of the bins."""
    probability = np.repeat(np.linspace(0.0, 0.7, BINS), 15)
    truth = np.zeros(len(probability), np.bool_)
    gaps = []
    for number in range(BINS):
        positives = number % 4
        truth[number * 15 : number * 15 + positives] = True
        gaps.append(abs(probability[number * 15] - positives / 15))
    error = metrics.calibration_error(truth, probability, np.ones(len(truth)))
    assert error == pytest.approx(np.mean(gaps))


def test_calibration_error_counts_mass_and_not_images() -> None:
    """Of two groups the one with four fifths of the weight makes four fifths of the error."""
    probability, weights = np.repeat([0.3, 0.9], 150), np.repeat([4.0, 1.0], 150)
    truth = np.repeat([False, True], 150)
    error = metrics.calibration_error(truth, probability, weights)
    assert error == pytest.approx(0.8 * 0.3 + 0.2 * 0.1)
    error = metrics.calibration_error(np.ones(300, np.bool_), probability, weights)
    assert error == pytest.approx(0.8 * 0.7 + 0.2 * 0.1)


def test_calibration_error_is_small_where_probabilities_are_right() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(100_000)
    truth = rng.random(100_000) < probability
    ones = np.ones(len(truth))
    assert metrics.calibration_error(truth, probability, ones) < 0.01
    assert metrics.calibration_error(truth, probability**2, ones) > 0.1


def test_calibration_error_does_not_depend_on_the_order() -> None:
    part = scored(decimals=12)
    order = np.random.default_rng(1).permutation(len(part.truth))
    again = part.take(order)
    assert metrics.calibration_error(part.truth, part.probability, part.weights) == pytest.approx(
        metrics.calibration_error(again.truth, again.probability, again.weights)
    )


def accuracy_at_half(part: Scored) -> dict[str, float]:
    return {"accuracy": metrics.accuracy(part.truth, part.probability >= 0.5, part.weights)}


def test_interval_of_independent_images_is_that_of_the_binomial() -> None:
    part = scored(900).unweighted()
    alone = Scored(part.truth, part.probability, np.arange(900).astype(str), part.weights)
    found = metrics.bootstrap(alone, accuracy_at_half, 500, seed=0)["accuracy"]
    spread = 1.96 * math.sqrt(found["value"] * (1 - found["value"]) / 900)
    assert found["value"] == accuracy_at_half(alone)["accuracy"]
    assert found["low"] == pytest.approx(found["value"] - spread, abs=0.2 * spread)
    assert found["high"] == pytest.approx(found["value"] + spread, abs=0.2 * spread)


def test_patients_are_drawn_and_not_images() -> None:
    """Nine copies of each image under one patient hold no more than one image does."""
    part = scored(100).unweighted()
    once = Scored(part.truth, part.probability, np.arange(100).astype(str), part.weights)
    copied = once.take(np.repeat(np.arange(100), 9))
    single = metrics.bootstrap(once, accuracy_at_half, 400, seed=0)["accuracy"]
    grouped = metrics.bootstrap(copied, accuracy_at_half, 400, seed=0)["accuracy"]
    loose = Scored(copied.truth, copied.probability, np.arange(900).astype(str), copied.weights)
    images = metrics.bootstrap(loose, accuracy_at_half, 400, seed=0)["accuracy"]
    width = {n: e["high"] - e["low"] for n, e in (("1", single), ("9", grouped), ("i", images))}
    assert width["9"] == pytest.approx(width["1"], rel=0.2)
    assert width["i"] < 0.5 * width["1"]


@pytest.mark.parametrize("seed", range(4))
def test_interval_of_the_calibration_error_holds_the_error(seed: int) -> None:
    # Of few people who are calibrated well, every draw has a larger error than all of them.
    rng = np.random.default_rng(seed)
    probability = rng.random(200)
    alone = np.arange(200).astype(str)
    part = Scored(rng.random(200) < probability, probability, alone, np.ones(200))
    found = metrics.bootstrap(part, lambda drawn: metrics.score_all(drawn, 0.5), 200, seed=0)
    error = found["calibration_error"]
    assert 0 <= error["low"] < error["value"] < error["high"]


def test_draws_without_a_class_are_left_out() -> None:
    truth = np.array([True] + [False] * 5)
    part = Scored(truth, np.linspace(1, 0, 6), np.arange(6).astype(str), np.ones(6))
    found = metrics.bootstrap(part, lambda s: {"auc": metrics.auc(s.truth, s.probability)}, 50, 0)
    assert found["auc"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_seed_decides_the_interval() -> None:
    part = scored()
    first = metrics.bootstrap(part, accuracy_at_half, 50, seed=1)
    assert metrics.bootstrap(part, accuracy_at_half, 50, seed=1) == first
    assert metrics.bootstrap(part, accuracy_at_half, 50, seed=2) != first
