import numpy as np
import pytest

from models.preprocessing import InputSpec, prepare
from training.batches import Prepare, PrepareAugmented, level_batch
from training.tile_augmentation import TileAugmentation, TileAugmentationConfig

SPEC = InputSpec(32, "centred", kind="tile")
NONE = np.zeros(4, dtype=np.bool_)


def tiles(count: int = 4) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(60, 240, (count, 40, 40, 3), dtype=np.uint8)


def augmented(seed: int, **changes: float) -> np.ndarray:
    augment = TileAugmentation(TileAugmentationConfig(**changes), 32)
    augment.set_random_state(seed)
    return augment(level_batch(tiles()), NONE).numpy()


def test_result_has_the_networks_side_and_stays_within_the_levels() -> None:
    changed = augmented(0)
    assert changed.shape == (4, 3, 32, 32)
    assert changed.min() >= 0
    assert changed.max() <= 255


def test_seed_decides_the_changes() -> None:
    np.testing.assert_array_equal(augmented(3), augmented(3))
    assert np.abs(augmented(3) - augmented(4)).mean() > 1


@pytest.mark.parametrize("name", ["stain_scale", "brightness", "zoom_log", "noise"])
def test_each_range_changes_something(name: str) -> None:
    off = {"stain_scale": 0.0, "stain_shift": 0.0, "brightness": 0.0, "contrast_log": 0.0}
    off |= {"zoom_log": 0.0, "rotation_rad": 0.0, "shift": 0.0, "blur_probability": 0.0}
    off |= {"noise": 0.0, "erase_probability": 0.0}
    assert np.abs(augmented(1, **(off | {name: 0.3})) - augmented(1, **off)).mean() > 0.5


def test_augmented_tiles_are_prepared_as_serving_does() -> None:
    levels = level_batch(tiles()[:, :32, :32])
    prepared = PrepareAugmented(SPEC)(levels).numpy()
    served = np.stack([prepare(tile[:32, :32], SPEC) for tile in tiles()])
    np.testing.assert_array_equal(prepared, served)
    np.testing.assert_array_equal(Prepare(SPEC)(tiles()[:, :32, :32]).numpy(), served)
    assert served.shape == (4, 3, 32, 32)
    assert served.min() >= -1
    assert served.max() <= 1
