from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.images import decoded
from datasets.manifest import Manifest, Sample
from models.errors import DataError
from models.package import digest_of
from models.preprocessing import resize
from tests.kermany_samples import made_up_radiograph


def manifest_of(root: Path, *names: str) -> Manifest:
    samples = tuple(
        Sample(name, name, ("pneumonia",), "virus", digest_of(root / name)) for name in names
    )
    return Manifest("source", ("pneumonia",), root, samples)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    root.mkdir()
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        Image.fromarray(made_up_radiograph(seed, False, 96)).save(root / name)
    Image.fromarray(made_up_radiograph(9, False, 96)).convert("RGB").save(root / "rgb.png")
    return root


def test_images_are_decoded_in_the_manifests_order(images: Path, tmp_path: Path) -> None:
    pixels = decoded(manifest_of(images, "c.png", "a.png", "rgb.png"), 64, tmp_path / "cache")
    expected = [resize(made_up_radiograph(seed, False, 96), 64) for seed in (2, 0, 9)]
    np.testing.assert_array_equal(pixels, np.stack(expected))
    assert pixels.dtype == np.uint8
    assert not pixels.flags.writeable


def test_second_reading_comes_from_the_cache(images: Path, tmp_path: Path) -> None:
    manifest = manifest_of(images, "a.png", "b.png")
    first = np.array(decoded(manifest, 64, tmp_path / "cache"))
    (images / "a.png").unlink()
    np.testing.assert_array_equal(decoded(manifest, 64, tmp_path / "cache"), first)


def test_other_content_order_or_side_gets_other_pixels(images: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = np.array(decoded(manifest_of(images, "a.png", "b.png"), 64, cache))
    turned = decoded(manifest_of(images, "b.png", "a.png"), 64, cache)
    np.testing.assert_array_equal(turned, first[::-1])
    assert decoded(manifest_of(images, "a.png", "b.png"), 32, cache).shape == (2, 32, 32)
    Image.fromarray(made_up_radiograph(7, True, 96)).save(images / "a.png")
    changed = decoded(manifest_of(images, "a.png", "b.png"), 64, cache)
    assert (changed[0] != first[0]).any()


def test_interrupted_decoding_is_not_taken_for_a_cache(images: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    manifest = manifest_of(images, "a.png", "b.png")
    broken = images / "b.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"b\.png cannot be decoded as an image"):
        decoded(manifest, 64, cache)
    broken.write_bytes(whole)
    assert decoded(manifest, 64, cache)[1].std() > 1
    assert [path.suffix for path in cache.iterdir()] == [".npy"]


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_file_that_is_no_image_is_named(images: Path, tmp_path: Path, content: bytes) -> None:
    (images / "b.png").write_bytes(content)
    with pytest.raises(DataError, match=r"b\.png cannot be decoded as an image"):
        decoded(manifest_of(images, "a.png", "b.png"), 64, tmp_path / "cache")
