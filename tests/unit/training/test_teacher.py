"""What a teacher says of a sample never hangs on the sample's own label."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.errors import DataError
from models.preprocessing import InputSpec
from training.teacher import Taught, TeacherConfig, looked_at, teach

GROUPS, EACH = 20, 10
SAMPLES = GROUPS * EACH
CONFIG = TeacherConfig(share=0.5, penalty=0.1)
GROUP = np.repeat([f"g{at:02}" for at in range(GROUPS)], EACH)
ALL = np.arange(SAMPLES)


def made_up(classes: int = 2) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Looks that tell the classes apart well, and the truth."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, classes, SAMPLES)
    looks = rng.normal(size=(SAMPLES, 12)).astype(np.float32)
    looks[ALL, truth] += 4
    return looks, truth


def one_label(truth: NDArray[np.intp]) -> NDArray[np.int8]:
    return truth[:, None].astype(np.int8)


def test_own_label_has_no_say_and_those_of_others_do() -> None:
    looks, truth = made_up()
    before = teach(CONFIG, looks, one_label(truth), GROUP, ALL, exclusive=False).probabilities
    first = GROUP == "g00"
    after = teach(
        CONFIG, looks, one_label(np.where(first, 1 - truth, truth)), GROUP, ALL, exclusive=False
    ).probabilities
    np.testing.assert_array_equal(after[first], before[first])
    assert np.abs(after - before).max() > 0.01


def test_teacher_is_nearer_to_the_truth_than_labels_that_are_often_wrong() -> None:
    looks, truth = made_up()
    wrong = np.random.default_rng(2).random(SAMPLES) < 0.2
    labels = np.where(wrong, 1 - truth, truth)
    told = teach(CONFIG, looks, one_label(labels), GROUP, ALL, exclusive=False).probabilities[:, 0]
    assert ((told > 0.5) == truth).mean() > 0.95 > (labels == truth).mean()


def test_of_samples_that_are_held_nothing_is_asked_and_nothing_is_known() -> None:
    looks, truth = made_up()
    held = np.isin(GROUP, ["g00", "g01", "g02"])
    chosen = np.flatnonzero(~held)
    told = teach(CONFIG, looks, one_label(truth), GROUP, chosen, exclusive=False).probabilities
    assert np.isnan(told[held]).all()
    assert np.isfinite(told[~held]).all()
    others = one_label(np.where(held, 1 - truth, truth))
    again = teach(CONFIG, looks, others, GROUP, chosen, exclusive=False).probabilities
    np.testing.assert_array_equal(again, told)


def test_classes_that_exclude_each_other_share_one() -> None:
    looks, truth = made_up(classes=3)
    targets = np.eye(3, dtype=np.int8)[truth]
    told = teach(CONFIG, looks, targets, GROUP, ALL, exclusive=True).probabilities
    np.testing.assert_allclose(told.sum(1), 1, atol=1e-5)
    assert (told.argmax(1) == truth).mean() > 0.9


def test_targets_are_softened_by_the_share() -> None:
    taught = Taught(0.25, np.array([[np.nan], [0.2], [0.6]], np.float32))
    softened = taught.softened(torch.tensor([[1.0], [0.0]]), np.array([1, 2]))
    np.testing.assert_allclose(softened.numpy(), [[0.8], [0.15]], atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "intensity"), [("radiograph", "standardised"), ("tile", "centred")]
)
def test_looks_are_those_of_the_mirror_image(kind: str, intensity: str) -> None:
    shape = (3, 40, 40, 3) if kind == "tile" else (3, 40, 40)
    pixels = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
    config = TeacherConfig(share=0.5, side_px=64, blocks=(0, 4))
    spec = InputSpec(96, intensity, kind=kind)
    looks = looked_at(config, pixels, spec)
    assert looks.shape == (3, 2 * (16 + 40 + 1280))
    mirrored = looked_at(config, np.ascontiguousarray(pixels[:, :, ::-1]), spec)
    np.testing.assert_allclose(mirrored, looks, atol=1e-4)
    assert np.abs(looks[0] - looks[1]).max() > 0.01


def test_too_few_groups_and_a_class_that_no_teacher_knows_are_refused() -> None:
    looks, truth = made_up()
    few = np.flatnonzero(np.isin(GROUP, ["g00", "g01", "g02"]))
    with pytest.raises(DataError, match="has 3 groups to learn from; expected at least 5"):
        teach(CONFIG, looks, one_label(truth), GROUP, few, exclusive=False)
    with pytest.raises(DataError, match="know only one class"):
        teach(CONFIG, looks, one_label(truth * 0), GROUP, ALL, exclusive=False)


def test_a_share_is_a_share() -> None:
    with pytest.raises(DataError, match=r"teacher\.share is 1\.5; expected 0 to 1"):
        TeacherConfig(share=1.5)
