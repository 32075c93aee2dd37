import numpy as np
import pytest

from models.errors import DataError
from training.sampling import BalancedSampler, SamplingConfig

POSITIVE = np.array([True] * 30 + [False] * 10)
EVEN = np.full(40, 0.5)


def drawn(config: SamplingConfig, propensity: np.ndarray = EVEN, seed: int = 0) -> np.ndarray:
    sampler = BalancedSampler.of_findings(config, POSITIVE, propensity)
    return np.stack(list(sampler.epoch(np.random.default_rng(seed))))


@pytest.mark.parametrize(
    ("share", "positives"), [(0.5, 8), (0.55, 9), (0.25, 4), (1.0, 16), (0.0, 0)]
)
def test_every_batch_holds_the_stated_share_of_positives(share: float, positives: int) -> None:
    config = SamplingConfig(images_per_epoch=160, batch_images=16, positive_share=share)
    batches = drawn(config)
    assert batches.shape == (10, 16)
    assert (POSITIVE[batches].sum(axis=1) == positives).all()


@pytest.mark.parametrize(
    ("images", "batch", "steps"), [(2688, 32, 84), (100, 32, 3), (31, 32, 1), (32, 32, 1)]
)
def test_epoch_has_whole_batches(images: int, batch: int, steps: int) -> None:
    config = SamplingConfig(images_per_epoch=images, batch_images=batch)
    assert config.steps_per_epoch == steps
    assert len(drawn(config)) == steps


@pytest.mark.parametrize(("power", "odds"), [(0.0, 1.0), (0.5, 3.0), (1.0, 9.0)])
def test_unusually_acquired_images_are_drawn_more_often(power: float, odds: float) -> None:
    """Positives of propensity 0.1 look acquired as the others: nine times as much as of 0.9."""
    propensity = np.where(np.arange(40) < 15, 0.1, 0.9)
    config = SamplingConfig(
        images_per_epoch=60_000, batch_images=60, positive_share=1.0, propensity_power=power
    )
    counts = np.bincount(drawn(config, propensity).ravel(), minlength=40)
    assert counts[:15].sum() / counts[15:30].sum() == pytest.approx(odds, rel=0.06)


def test_negatives_are_weighted_the_other_way() -> None:
    propensity = np.where(np.arange(40) < 35, 0.75, 0.25)
    config = SamplingConfig(
        images_per_epoch=60_000, batch_images=60, positive_share=0.0, propensity_power=1.0
    )
    counts = np.bincount(drawn(config, propensity).ravel(), minlength=40)
    assert counts[30:35].sum() / counts[35:].sum() == pytest.approx(3.0, rel=0.06)


def test_floor_bounds_how_often_one_image_is_drawn() -> None:
    propensity = np.full(40, 0.999)
    propensity[0] = 0.001
    config = SamplingConfig(
        images_per_epoch=60_000,
        batch_images=60,
        positive_share=1.0,
        propensity_power=1.0,
        propensity_floor=0.1,
    )
    counts = np.bincount(drawn(config, propensity).ravel(), minlength=40)
    assert counts[0] / counts[1:30].mean() == pytest.approx(9.0, rel=0.1)


def test_seed_decides_the_batches() -> None:
    config = SamplingConfig(images_per_epoch=320)
    np.testing.assert_array_equal(drawn(config, seed=3), drawn(config, seed=3))
    assert (drawn(config, seed=3) != drawn(config, seed=4)).any()


@pytest.mark.parametrize("present", [True, False])
def test_one_class_alone_is_refused(present: bool) -> None:
    with pytest.raises(DataError, match="only one class"):
        BalancedSampler.of_findings(SamplingConfig(), np.full(40, present), EVEN)
