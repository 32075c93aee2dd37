"""What the network is trained on is what serving will show it, to the last bit."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.preprocessing import InputSpec, prepare, standardise
from tests.kermany_samples import made_up_radiograph
from training.augmentation import AcquisitionAugmentation, AugmentationConfig
from training.batches import Prepare, PrepareAugmented, level_batch


def pictures(side_px: int) -> NDArray[np.uint8]:
    return np.stack([made_up_radiograph(seed, seed % 2 == 1, side_px) for seed in range(5)])


@pytest.mark.parametrize("stored_px", [64, 96, 224])
@pytest.mark.parametrize("spec", [InputSpec(64), InputSpec(96, clip=2.0)])
def test_prepare_is_the_serving_preprocessing(stored_px: int, spec: InputSpec) -> None:
    pixels = pictures(stored_px)
    expected = np.stack([prepare(image, spec) for image in pixels])
    np.testing.assert_array_equal(Prepare(spec)(pixels).numpy(), expected)


@pytest.mark.parametrize("spec", [InputSpec(64), InputSpec(64, clip=1.5)])
def test_augmented_images_end_in_the_serving_preprocessing(spec: InputSpec) -> None:
    augment = AcquisitionAugmentation(AugmentationConfig(), spec.side_px)
    augment.set_random_state(0)
    changed = augment(level_batch(pictures(64)), np.array([True, False, True, False, True]))
    found = PrepareAugmented(spec)(changed).numpy()
    # What the service would be sent: the same picture with 8 bits.
    sent = np.rint(changed.numpy()).astype(np.uint8)
    expected = np.stack([prepare(image[0], spec) for image in sent])
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32


def test_grey_levels_beyond_eight_bits_are_held() -> None:
    levels = torch.tensor([[[[-20.0, 300.0], [0.4, 254.6]]]])
    found = PrepareAugmented(InputSpec(32))(levels).numpy()
    expected = standardise(np.array([[0, 255], [0, 255]], np.uint8), 4.0)
    np.testing.assert_array_equal(found[0, 0], expected)


def test_level_batch_keeps_the_grey_levels() -> None:
    pixels = pictures(64)
    batch = level_batch(pixels)
    assert batch.shape == (5, 1, 64, 64)
    np.testing.assert_array_equal(batch[:, 0].numpy(), pixels)
