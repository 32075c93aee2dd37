import numpy as np
import pytest

from tests.kermany_samples import made_up_radiograph
from training.perturbations import ROBUSTNESS, SHORTCUTS

SIDE = 224
PICTURE = made_up_radiograph(5, True, SIDE)
EVERY = {**ROBUSTNESS, **SHORTCUTS}


@pytest.mark.parametrize("name", EVERY)
def test_change_is_made_every_time_alike_and_leaves_its_argument(name: str) -> None:
    before = PICTURE.copy()
    first, second = EVERY[name](PICTURE), EVERY[name](PICTURE)
    np.testing.assert_array_equal(PICTURE, before)
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.uint8
    assert first.ndim == 2
    assert first.shape != PICTURE.shape or np.abs(first.astype(int) - PICTURE).mean() > 0.3


def test_mirror_turns_left_to_right() -> None:
    np.testing.assert_array_equal(ROBUSTNESS["mirrored"](PICTURE), PICTURE[:, ::-1])


def test_covered_corners_hide_the_markers_and_nothing_else() -> None:
    covered = ROBUSTNESS["upper corners covered"](PICTURE)
    assert not covered[:56, :45].any()
    assert not covered[:56, -45:].any()
    np.testing.assert_array_equal(covered[56:], PICTURE[56:])
    np.testing.assert_array_equal(covered[:, 45:-45], PICTURE[:, 45:-45])


def test_covered_lungs_leave_the_frame() -> None:
    covered = SHORTCUTS["lungs covered"](PICTURE)
    inside = covered[27:197, 22:202]
    assert (inside == round(float(PICTURE.mean()))).all()
    for rows in (slice(0, 27), slice(197, None)):
        np.testing.assert_array_equal(covered[rows], PICTURE[rows])
    for columns in (slice(0, 22), slice(202, None)):
        np.testing.assert_array_equal(covered[:, columns], PICTURE[:, columns])


@pytest.mark.parametrize(
    ("name", "columns"), [("15 % wider", SIDE - 2 * 17), ("15 % narrower", SIDE + 2 * 17)]
)
def test_stretched_images_keep_their_rows(name: str, columns: int) -> None:
    assert ROBUSTNESS[name](PICTURE).shape == (SIDE, columns)


@pytest.mark.parametrize(("name", "expected"), [("gamma 0.7", 157), ("gamma 1.4", 97)])
def test_gamma_keeps_black_and_white(name: str, expected: int) -> None:
    image = np.array([[0, 128, 255]], np.uint8)
    assert ROBUSTNESS[name](image)[0].tolist() == [0, expected, 255]


def test_contrast_is_halved_about_the_middle() -> None:
    image = np.array([[0, 127, 128, 255]], np.uint8)
    assert ROBUSTNESS["contrast halved"](image)[0].tolist() == [64, 127, 128, 191]


def test_noise_has_the_stated_deviation() -> None:
    flat = np.full((SIDE, SIDE), 128, np.uint8)
    noisy = ROBUSTNESS["noise (10 grey levels)"](flat)
    assert noisy.std() == pytest.approx(10, rel=0.03)
    assert noisy.mean() == pytest.approx(128, abs=0.2)
