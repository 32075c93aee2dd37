import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from threadpoolctl import threadpool_info

from datasets import acquisition
from datasets.acquisition import (
    BORDER_PX,
    FACTS,
    acquisition_propensity,
    measure,
    measure_all,
    shifted_validation,
)
from models.errors import DataError
from tests.kermany_samples import made_up_radiograph

SIDE = 224
# Smooth, since the gradients of noise do not change with the aspect ratio.
RADIOGRAPH = ndimage.gaussian_filter(made_up_radiograph(3, False, SIDE), 2.0)


def facts(image: NDArray[np.generic]) -> dict[str, float]:
    measured = measure(np.asarray(image, dtype=np.uint8))
    return dict(zip(FACTS, measured.tolist(), strict=True))


def test_uniform_image_has_no_structure() -> None:
    found = facts(np.full((SIDE, SIDE), 90))
    for name in ("column_gradient", "row_gradient", "gradient_ratio", "fine_detail", "grey_range"):
        assert found[name] == pytest.approx(0, abs=1e-9)
    assert found["black_share"] == found["white_share"] == 0
    assert found["sides_grey"] == found["top_bottom_grey"] == found["grey_p50"] == 90


def test_ramp_along_the_columns() -> None:
    ramp = np.tile(np.arange(SIDE), (SIDE, 1))
    found = facts(ramp)
    assert found["column_gradient"] == pytest.approx(1.0)
    assert found["row_gradient"] == 0
    assert found["gradient_ratio"] == pytest.approx(1000)
    assert facts(ramp.T)["gradient_ratio"] == pytest.approx(0)
    assert found["grey_p50"] == pytest.approx((SIDE - 1) / 2)
    assert found["grey_range"] == pytest.approx(0.9 * (SIDE - 1), abs=1)
    assert found["black_share"] == pytest.approx(8 / SIDE)


def test_black_sides_and_white_top() -> None:
    image = np.full((SIDE, SIDE), 100)
    image[:, :BORDER_PX] = image[:, -BORDER_PX:] = 0
    found = facts(image)
    assert found["sides_grey"] == found["sides_contrast"] == 0
    assert found["black_share"] == pytest.approx(2 * BORDER_PX / SIDE)
    image[:BORDER_PX] = image[-BORDER_PX:] = 255
    found = facts(image)
    assert (found["top_bottom_grey"], found["top_bottom_contrast"]) == (255, 0)
    assert found["white_share"] == pytest.approx(2 * BORDER_PX / SIDE)


@pytest.mark.parametrize(
    ("changed", "fact", "direction"),
    [
        (ndimage.gaussian_filter(RADIOGRAPH, 1.5), "fine_detail", -1),
        (ndimage.zoom(RADIOGRAPH, (1, 0.5), order=1), "gradient_ratio", +1),
        (ndimage.zoom(RADIOGRAPH, (0.5, 1), order=1), "gradient_ratio", -1),
        (RADIOGRAPH // 2, "grey_range", -1),
        (RADIOGRAPH // 2 + 100, "grey_p5", +1),
    ],
)
def test_acquisition_changes_move_their_fact(
    changed: NDArray[np.uint8], fact: str, direction: int
) -> None:
    before, after = facts(RADIOGRAPH)[fact], facts(changed)[fact]
    assert np.sign(after - before) == direction
    assert abs(after - before) > 0.02 * abs(before)


def test_all_images_are_measured() -> None:
    images = np.stack([made_up_radiograph(seed, False) for seed in range(3)])
    found = measure_all(images)
    assert found.shape == (3, len(FACTS))
    np.testing.assert_array_equal(found[2], measure(images[2]))


def clinics(
    told_apart: float, patients: int = 80
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.str_]]:
    """Facts of two images each of so many patients, whose classes lie `told_apart` apart."""
    rng = np.random.default_rng(0)
    positive = np.repeat(np.arange(patients) % 2 == 1, 2)
    groups = np.repeat([f"patient-{number}" for number in range(patients)], 2)
    values = rng.normal(size=(2 * patients, 3))
    values[:, 0] += told_apart * positive
    return values, positive, groups


def test_propensity_tells_classes_apart_only_where_acquisition_does() -> None:
    apart = acquisition_propensity(*clinics(4.0), folds=3, seed=0)
    alike = acquisition_propensity(*clinics(0.0), folds=3, seed=0)
    positive = clinics(0.0)[1]
    assert apart[positive].mean() - apart[~positive].mean() > 0.8
    assert abs(alike[positive].mean() - alike[~positive].mean()) < 0.15


def test_propensity_is_made_without_the_patient_itself() -> None:
    # Facts that name the patient tell a model everything about images it has seen, and nothing
    # about a patient it has not.
    rng = np.random.default_rng(1)
    positive = np.repeat(rng.random(60) < 0.5, 6)
    groups = np.repeat([f"patient-{number}" for number in range(60)], 6)
    values = np.repeat(rng.normal(size=(60, 1)), 6, axis=0)
    found = acquisition_propensity(values, positive, groups, folds=3, seed=0)
    assert found[positive].mean() - found[~positive].mean() < 0.35


def test_propensity_is_the_same_every_time() -> None:
    first = acquisition_propensity(*clinics(1.0), folds=3, seed=4)
    np.testing.assert_array_equal(first, acquisition_propensity(*clinics(1.0), folds=3, seed=4))


@pytest.mark.parametrize(("present", "named"), [(True, "positive"), (False, "negative")])
def test_too_few_patients_of_a_class_are_refused(present: bool, named: str) -> None:
    values, positive, groups = clinics(1.0, patients=20)
    few = np.flatnonzero(positive == present)[:4]
    chosen = np.concatenate([few, np.flatnonzero(positive != present)])
    with pytest.raises(DataError, match=f"at least 3 groups of each class; {named} has 2"):
        acquisition_propensity(values[chosen], positive[chosen], groups[chosen], 3, 0)


def test_swapped_quarter_holds_those_acquired_as_the_other_class() -> None:
    positive = np.array([True] * 8 + [False] * 8)
    propensity = np.where(positive, 0.9, 0.1)
    propensity[[2, 5]] = 0.2, 0.4
    propensity[[9, 15]] = 0.7, 0.95
    found = shifted_validation(propensity, positive, swapped_share=0.25, weight_floor=0.02)
    assert np.flatnonzero(found.swapped).tolist() == [2, 5, 9, 15]


def test_matched_weights_are_the_probability_of_the_other_class() -> None:
    positive = np.array([True, True, False, False])
    propensity = np.array([0.9, 0.3, 0.25, 0.001])
    found = shifted_validation(propensity, positive, swapped_share=0.5, weight_floor=0.02)
    np.testing.assert_allclose(found.weights, [0.1, 0.7, 0.25, 0.02])


def test_under_matched_weights_acquisition_tells_nothing() -> None:
    """With the true propensity e, weights 1-e and e give both classes the same density of facts."""
    rng = np.random.default_rng(2)
    fact = rng.normal(size=40_000)
    propensity = 1 / (1 + np.exp(-2 * fact))
    positive = rng.random(len(fact)) < propensity
    weights = shifted_validation(propensity, positive, 0.25, 0.0).weights
    means = [np.average(fact[c], weights=weights[c]) for c in (positive, ~positive)]
    assert fact[positive].mean() - fact[~positive].mean() > 1
    assert means[0] == pytest.approx(means[1], abs=0.03)


def test_propensity_needs_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that wait for each other took minutes where other work was going on."""
    threads: list[int] = []

    def counted(*_: object, **__: object) -> NDArray[np.float64]:
        threads.extend(
            each["num_threads"] for each in threadpool_info() if each["user_api"] == "openmp"
        )
        return np.full((1, 2), 0.5)

    monkeypatch.setattr(acquisition, "cross_val_predict", counted)
    acquisition_propensity(*clinics(1.0), folds=3, seed=0)
    assert threads
    assert set(threads) == {1}
