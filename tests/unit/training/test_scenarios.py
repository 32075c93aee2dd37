import numpy as np
import pytest

from tests.kermany_samples import made_up_radiograph
from training import scenarios
from training.scenarios import SCENARIOS, apply_scenario

PICTURES = np.stack([made_up_radiograph(seed, seed % 2 == 1, 96) for seed in range(4)])
POSITIVE = np.array([False, True, False, True])


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_changes_the_classes_that_it_names(name: str) -> None:
    changed = apply_scenario(name, PICTURES, POSITIVE)
    assert changed.shape == PICTURES.shape
    assert changed.dtype == np.uint8
    for present, change in zip((False, True), SCENARIOS[name], strict=True):
        difference = np.abs(changed.astype(int) - PICTURES)[present == POSITIVE].mean()
        assert (difference > 0.5) == (change is not scenarios.keep)


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_leaves_the_images_given_as_they_are(name: str) -> None:
    before = PICTURES.copy()
    apply_scenario(name, PICTURES, POSITIVE)
    np.testing.assert_array_equal(PICTURES, before)


def test_no_two_scenarios_are_the_same() -> None:
    results = [apply_scenario(name, PICTURES, POSITIVE).tobytes() for name in SCENARIOS]
    assert len(set(results)) == len(SCENARIOS)


@pytest.mark.parametrize(
    ("grey", "slope", "offset", "expected"),
    [(110, 0.7, 125, 125), (0, 0.7, 125, 48), (255, 1.5, 110, 255), (110, 1.0, 110, 110)],
)
def test_tone_turns_about_grey_110(grey: int, slope: float, offset: float, expected: int) -> None:
    image = np.full((4, 4), grey, np.uint8)
    assert (scenarios.tone(slope, offset)(image) == expected).all()


@pytest.mark.parametrize(("power", "expected"), [(1.0, 64), (0.5, 128), (2.0, 16)])
def test_gamma_keeps_black_and_white(power: float, expected: int) -> None:
    image = np.array([[0, 64, 255]], np.uint8)
    assert scenarios.gamma(power)(image)[0].tolist() == [0, expected, 255]


def square() -> np.ndarray:
    image = np.zeros((96, 96), np.uint8)
    image[32:64, 32:64] = 200
    return image


@pytest.mark.parametrize(
    ("columns", "rows", "width", "height"),
    [(1, 1, 32, 32), (0.8, 1, 40, 32), (1, 0.8, 32, 40), (1.25, 1.25, 25.6, 25.6)],
)
def test_field_of_view_magnifies_about_the_middle(
    columns: float, rows: float, width: float, height: float
) -> None:
    shown = scenarios.field_of_view(columns, rows)(square()) > 100
    assert shown[48].sum() == pytest.approx(width, abs=1)
    assert shown[:, 48].sum() == pytest.approx(height, abs=1)
    row, column = (np.flatnonzero(shown.any(axis=axis)).mean() for axis in (1, 0))
    assert (row, column) == pytest.approx((47.5, 47.5), abs=0.6)


def test_larger_field_adds_black() -> None:
    shown = scenarios.field_of_view(1.5, 1.5)(np.full((96, 96), 200, np.uint8))
    assert (shown[:8] == 0).all()
    assert (shown[48, 20:76] == 200).all()


def test_sharpening_steepens_and_blurring_flattens_an_edge() -> None:
    def steepest(image: np.ndarray) -> int:
        return int(np.abs(np.diff(image[48].astype(int))).max())

    edge = scenarios.blurred(2.0)(square() // 2 + 60)
    assert steepest(scenarios.sharpened(1.0, 1.2)(edge)) > 1.08 * steepest(edge)
    assert steepest(scenarios.blurred(2.0)(edge)) < 0.8 * steepest(edge)
