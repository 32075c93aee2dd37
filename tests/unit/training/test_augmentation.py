from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the name that PyTorch's own pages use

from tests.kermany_samples import made_up_radiograph
from training.augmentation import AcquisitionAugmentation, AugmentationConfig
from training.batches import level_batch

SIDE = 64
OFF = AugmentationConfig(strength=0.0, mirror_probability=0.0, erase_probability=0.0)
# Everything random is still; what is left is the counter-shift.
STILL = replace(
    OFF,
    strength=1.0,
    zoom_log=(0.0, 0.0),
    anisotropy_log=0.0,
    rotation_rad=0.0,
    shift=0.0,
    blur_share=1.0,
    blur_sigma_px=0.0501,
    gamma_log=0.0,
    contrast_log=(0.0, 0.0),
    brightness=0.0,
    field=0.0,
    noise=0.0,
)


def pictures(count: int) -> NDArray[np.uint8]:
    return np.stack([made_up_radiograph(seed, seed % 2 == 1, SIDE) for seed in range(count)])


def augmented(config: AugmentationConfig, images: Tensor, positive: Any, seed: int = 0) -> Tensor:
    augment = AcquisitionAugmentation(config, SIDE)
    augment.set_random_state(seed)
    return augment(images, np.asarray(positive, dtype=np.bool_))


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_result_has_the_networks_side_and_stays_in_range(strength: float) -> None:
    images = level_batch(np.stack([made_up_radiograph(seed, False, 96) for seed in range(8)]))
    config = AugmentationConfig(strength=strength, counter_shift=0.5)
    changed = augmented(config, images, [True, False] * 4)
    assert changed.shape == (8, 1, SIDE, SIDE)
    assert changed.dtype == torch.float32
    assert torch.isfinite(changed).all()
    assert changed.min() >= 0
    assert changed.max() <= 255
    # Not by having flattened the images.
    assert changed.flatten(1).std(1).min() > 5


def test_seed_decides_the_changes() -> None:
    images = level_batch(pictures(4))
    positive = [True, True, False, False]
    config = AugmentationConfig(counter_shift=0.2)
    first = augmented(config, images, positive, seed=5)
    torch.testing.assert_close(augmented(config, images, positive, seed=5), first, rtol=0, atol=0)
    assert (augmented(config, images, positive, seed=6) - first).abs().mean() > 5


def test_images_given_are_not_changed() -> None:
    images = level_batch(pictures(4))
    before = images.clone()
    augmented(AugmentationConfig(), images, [True] * 4)
    torch.testing.assert_close(images, before, rtol=0, atol=0)


@pytest.mark.parametrize("config", [OFF, STILL])
def test_without_strength_or_ranges_an_image_stays_as_it_is(config: AugmentationConfig) -> None:
    images = level_batch(pictures(6))
    changed = augmented(config, images, [True, False] * 3)
    assert (changed - images).abs().max() < 0.5


def disc() -> Tensor:
    row, column = np.mgrid[0:SIDE, 0:SIDE] - (SIDE - 1) / 2
    return torch.from_numpy(np.where(row**2 + column**2 < 15**2, 200.0, 40.0)).float()


def extent(images: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rows and columns that the disc of each image covers along its middle lines."""
    bright = (images[:, 0] > 120).double()
    return bright[:, :, SIDE // 2].sum(1).numpy(), bright[:, SIDE // 2].sum(1).numpy()


@pytest.mark.parametrize(("positive", "sign"), [(True, 1), (False, -1)])
def test_counter_shift_pushes_half_the_images_towards_the_other_class(
    positive: bool, sign: int
) -> None:
    images = disc().expand(400, 1, SIDE, SIDE).contiguous()
    config = replace(STILL, counter_shift=0.5)
    rows, columns = extent(augmented(config, images, [positive] * 400))
    plain_rows, plain_columns = (each[0] for each in extent(images[:1]))
    pushed = rows != plain_rows
    assert 0.4 < pushed.mean() < 0.6
    assert (columns[~pushed] == plain_columns).all()
    # Towards the normals: a field exp(0.15) larger, and exp(0.25) taller than it is wide.
    expected_rows = plain_rows * np.exp(-sign * (0.15 + 0.25))
    expected_columns = plain_columns * np.exp(-sign * (0.15 - 0.25))
    assert rows[pushed] == pytest.approx(expected_rows, abs=2)
    assert columns[pushed] == pytest.approx(expected_columns, abs=2)


def fine_detail(images: Tensor) -> NDArray[np.float64]:
    smooth = F.avg_pool2d(images, 3, 1, 1)
    return np.asarray((images - smooth).flatten(1).std(1).double().numpy())


def test_counter_shift_sharpens_towards_the_normals_and_blurs_towards_the_others() -> None:
    images = disc().expand(300, 1, SIDE, SIDE).contiguous()
    config = replace(
        STILL,
        blur_share=0.5,
        blur_sigma_px=2.0,
        sharpen=1.0,
        counter_shift=0.5,
        counter_zoom=0.0,
        counter_aspect=0.0,
        counter_blur=-1.0,
    )
    before = fine_detail(images[:1])[0]
    towards_normal = fine_detail(augmented(config, images, [True] * 300))
    towards_other = fine_detail(augmented(config, images, [False] * 300))
    # Half are not pushed: half of those are blurred. The pushed are all of one kind.
    assert (towards_normal > before).mean() == pytest.approx(0.75, abs=0.08)
    assert (towards_other > before).mean() == pytest.approx(0.25, abs=0.08)


def test_boxes_are_put_into_the_upper_corners() -> None:
    images = torch.full((300, 1, SIDE, SIDE), 100.0)
    config = replace(STILL, erase_boxes=1, erase_probability=1.0, erase_corner_share=1.0)
    touched = (augmented(config, images, [True] * 300)[:, 0] - 100).abs() > 0.5
    often = touched.double().mean(0).numpy()
    corners = often[: SIDE // 4, : SIDE // 6].mean(), often[: SIDE // 4, -SIDE // 6 :].mean()
    assert min(corners) > 0.05
    assert often[SIDE // 2 :].max() == 0
    assert often[: SIDE // 4, SIDE // 2 - 4 : SIDE // 2 + 4].max() == 0


@pytest.mark.parametrize(("probability", "share"), [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5)])
def test_mirroring_is_as_frequent_as_asked(probability: float, share: float) -> None:
    ramp = torch.arange(SIDE).float().mul(3).expand(200, 1, SIDE, SIDE).contiguous()
    config = replace(STILL, mirror_probability=probability)
    changed = augmented(config, ramp, [True] * 200)
    mirrored = (changed[:, 0, 0, 0] > changed[:, 0, 0, -1]).double().mean()
    assert mirrored == pytest.approx(share, abs=0.1)


def test_pixels_from_outside_are_black_or_repeat_the_border() -> None:
    images = torch.full((2, 1, SIDE, SIDE), 200.0)
    config = replace(STILL, zoom_log=(0.5, 0.5))
    for probability, corner in ((0.0, 0.0), (1.0, 200.0)):
        asked = replace(config, repeat_border_probability=probability)
        changed = augmented(asked, images, [True, False])
        assert changed[:, 0, 0, 0].tolist() == pytest.approx([corner, corner], abs=0.5)
        assert changed[:, 0, SIDE // 2, SIDE // 2].tolist() == pytest.approx([200, 200], abs=0.5)
