import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.lung_batches import NOT_TOLD, LungBatches
from training.lungs import Chests, LungConfig, chest_of, covered, transplanted

SIDE, CELLS = 64, 16


def lungs(top: int, bottom: int, left: int, right: int) -> Tensor:
    """Two lungs between these cells, with the mediastinum between them."""
    mask = torch.zeros(1, 1, CELLS, CELLS)
    third = (right - left) // 3
    mask[:, :, top:bottom, left : left + third] = 1
    mask[:, :, top:bottom, right - third : right] = 1
    return mask


def flat(level: float) -> Tensor:
    return torch.full((1, 1, SIDE, SIDE), level)


def chests(level: float, inside: float, mask: Tensor) -> Chests:
    """A radiograph of one grey level with lungs of another."""
    fine = torch.nn.functional.interpolate(mask, size=(SIDE, SIDE), mode="nearest")
    return Chests(flat(level) * (1 - fine) + inside * fine, mask)


def test_chest_reaches_from_lung_to_lung() -> None:
    chest = chest_of(lungs(4, 12, 3, 12), 0)[0, 0]
    assert chest[4:12, 3:12].all()
    assert chest.sum() == 8 * 9
    assert chest_of(lungs(4, 12, 3, 12), 1)[0, 0].sum() == 10 * 11


@pytest.mark.parametrize("blended", [True, False])
def test_chest_of_the_guest_lies_where_the_hosts_was(blended: bool) -> None:
    guest = chests(120, 40, lungs(2, 8, 2, 11))
    host = chests(200, 90, lungs(5, 14, 4, 13))
    mixed = transplanted(guest, host, blended=blended)
    rows, columns = np.nonzero(mixed.lungs[0, 0].numpy())
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (5, 14, 4, 13)
    # Far from the chest it is the host; in its lungs nothing of the host's is left.
    assert (mixed.images[0, 0, :8] == 200).all()
    middle = mixed.images[0, 0, 36, 22]
    expected = 200 - 80 if blended else 40
    assert middle == pytest.approx(expected, abs=1)
    assert not (mixed.images == 90).any()


def test_image_of_ones_own_outside_is_the_image() -> None:
    own = chests(150, 60, lungs(4, 12, 3, 12))
    mixed = transplanted(own, own)
    torch.testing.assert_close(mixed.images, own.images, atol=1.0, rtol=0)
    torch.testing.assert_close(mixed.lungs, own.lungs)


def many(count: int) -> Chests:
    rng = np.random.default_rng(1)
    images = torch.from_numpy(rng.uniform(30, 220, (count, 1, SIDE, SIDE)).astype(np.float32))
    return Chests(images, lungs(4, 12, 3, 12).expand(count, -1, -1, -1).clone())


def test_covered_chest_tells_nothing_and_the_frame_stays() -> None:
    """Whatever the lungs hold, what is left of the image is the same."""
    before = many(24)
    changed = Chests(before.images.clone(), before.lungs)
    changed.images[:, :, 16:48, 12:48] += 30
    first = covered(before, np.random.default_rng(5))
    second = covered(changed, np.random.default_rng(5))
    torch.testing.assert_close(first, second, atol=1e-3, rtol=0)
    assert torch.equal(first[:, :, :2], before.images[:, :, :2])
    assert torch.isfinite(first).all()
    assert first.min() >= 0
    assert first.max() <= 255
    # Each in a way of its own.
    assert first[:, 0, 32, 30].std() > 5


def batches(config: LungConfig) -> LungBatches:
    positive = np.arange(20) < 10
    pixels = np.where(positive, 60, 180)[:, None, None] * np.ones((1, SIDE, SIDE))
    mask = lungs(4, 12, 3, 12)[0, 0].numpy().astype(np.uint8)
    masks: NDArray[np.uint8] = np.repeat(mask[None], 20, axis=0)
    found, without = np.flatnonzero(positive), np.flatnonzero(~positive)
    return LungBatches(config, pixels.astype(np.uint8), masks, found, without)


def drawn(config: LungConfig) -> tuple[Chests, Tensor]:
    chosen = np.array([0, 1, 2, 3, 4, 10, 11, 12, 13, 14])
    targets = torch.tensor([[1.0]] * 5 + [[0.0]] * 5)
    return batches(config).draw(chosen, targets, np.random.default_rng(3))


def test_nothing_is_changed_where_nothing_is_asked_for() -> None:
    chests_drawn, targets = drawn(LungConfig(field=True))
    assert targets[:, 0].tolist() == [1] * 5 + [0] * 5
    assert set(chests_drawn.images.flatten().tolist()) == {60.0, 180.0}


def test_covered_images_have_no_lungs_and_no_answer() -> None:
    chests_drawn, targets = drawn(LungConfig(field=True, cover_share=0.3))
    blind = (targets[:, 0] == NOT_TOLD).numpy()
    assert blind.sum() == 3
    assert not chests_drawn.lungs[blind].any()
    assert chests_drawn.lungs[~blind].any(dim=3).any(dim=2).all()


def test_transplanted_images_keep_their_answer_in_another_childs_radiograph() -> None:
    config = LungConfig(field=True, transplant_share=1.0, other_class_share=1.0)
    chests_drawn, targets = drawn(config)
    corner = chests_drawn.images[:, 0, 0, 0]
    assert torch.equal(corner, torch.where(targets[:, 0] == 1, 180.0, 60.0))
