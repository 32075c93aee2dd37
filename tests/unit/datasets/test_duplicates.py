import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from datasets.duplicates import HASH_BITS, NEAR_BITS, difference_hashes, near_pairs
from tests.kermany_samples import made_up_radiograph

PICTURES = np.stack([made_up_radiograph(seed, seed % 2 == 0, 96) for seed in range(12)])


def recoded(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=60)
    return np.asarray(Image.open(stream))


def smaller(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    half = Image.fromarray(image).resize((48, 48), Image.Resampling.BILINEAR)
    return np.asarray(half.resize((96, 96), Image.Resampling.BILINEAR))


def darker(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(image * 0.8, dtype=np.uint8)


@pytest.mark.parametrize("change", [recoded, smaller, darker])
def test_copies_that_a_file_digest_misses_are_found(change: object) -> None:
    assert callable(change)
    hashes = difference_hashes(np.concatenate([PICTURES, change(PICTURES[3])[np.newaxis]]))
    assert near_pairs(hashes) == [(3, len(PICTURES))]


def test_different_pictures_are_no_pair() -> None:
    assert near_pairs(difference_hashes(PICTURES)) == []


@pytest.mark.parametrize(("apart", "found"), [(0, True), (NEAR_BITS, True), (NEAR_BITS + 1, False)])
def test_pairs_are_those_at_most_so_many_bits_apart(apart: int, found: bool) -> None:
    first = np.random.default_rng(0).random(HASH_BITS) < 0.5
    second = first.copy()
    second[:apart] ^= True
    assert near_pairs(np.stack([first, second])) == ([(0, 1)] if found else [])


def test_pairs_are_found_across_blocks_of_rows() -> None:
    hashes = np.random.default_rng(1).random((1500, HASH_BITS)) < 0.5
    hashes[1400] = hashes[2]
    hashes[1450] = hashes[1300]
    assert near_pairs(hashes) == [(2, 1400), (1300, 1450)]


def test_hash_of_a_ramp_is_all_rising() -> None:
    ramp = np.tile(np.arange(0, 255, 2, dtype=np.uint8), (128, 1))
    assert difference_hashes(ramp[np.newaxis]).all()
    assert not difference_hashes(ramp[np.newaxis, :, ::-1]).any()
