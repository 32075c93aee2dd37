import numpy as np
import pytest
from PIL import Image

from models.errors import PackageInvalidError
from models.preprocessing import InputSpec, prepare, resize, standardise


def radiograph_like(rows: int, columns: int) -> np.ndarray:
    """Smooth structure with edges and noise, as a radiograph has."""
    row, column = np.mgrid[0:rows, 0:columns]
    body = 110 + 70 * np.sin(row / rows * 5) * np.cos(column / columns * 7)
    body[rows // 4 : rows // 3, columns // 5 : columns // 2] += 40
    noise = np.random.default_rng(0).normal(0, 6, (rows, columns))
    grey: np.ndarray = np.clip(body + noise, 0, 255).astype(np.uint8)
    return grey


def test_standardise_gives_known_values() -> None:
    pixels = np.array([[0, 0], [100, 100]], np.uint8)
    values = standardise(pixels, clip=4.0)
    assert values.dtype == np.float32
    # Mean 50, standard deviation 50, and a floor of 0.001 in the divisor.
    np.testing.assert_allclose(values, [[-50 / 50.001] * 2, [50 / 50.001] * 2], rtol=1e-6)


def test_standardise_holds_outliers_within_the_clip() -> None:
    pixels = np.zeros((100, 100), np.uint8)
    pixels[0, 0] = 255
    assert standardise(pixels, clip=4.0).max() == 4.0
    assert standardise(pixels, clip=2.5).max() == 2.5


def test_uniform_image_gives_zeros() -> None:
    assert not standardise(np.full((8, 8), 200, np.uint8), clip=4.0).any()


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 0), (1.0, 30), (0.6, 80)])
def test_brightness_and_contrast_of_the_exposure_are_taken_out(gain: float, offset: int) -> None:
    pixels = (np.arange(64, dtype=np.uint8) * 2).reshape(8, 8)
    changed = np.rint(pixels * gain + offset).astype(np.uint8)
    np.testing.assert_allclose(standardise(pixels, 4.0), standardise(changed, 4.0), atol=0.02)


@pytest.mark.parametrize("shape", [(1955, 1841), (1000, 1500), (448, 448), (300, 260), (100, 120)])
def test_resize_is_within_two_grey_levels_of_plain_bilinear(shape: tuple[int, int]) -> None:
    pixels = radiograph_like(*shape)
    plain = np.asarray(Image.fromarray(pixels).resize((224, 224), Image.Resampling.BILINEAR))
    difference = np.abs(resize(pixels, 224).astype(int) - plain)
    assert difference.max() <= 2
    assert difference.mean() < 0.5


def test_resize_keeps_an_image_of_the_right_size_as_it_is() -> None:
    pixels = radiograph_like(96, 96)
    assert resize(pixels, 96) is pixels


def test_resize_keeps_rows_and_columns_apart() -> None:
    pixels = np.zeros((400, 200), np.uint8)
    pixels[:200] = 240
    resized = resize(pixels, 64)
    assert resized.shape == (64, 64)
    assert (resized[:30] == 240).all()
    assert (resized[34:] == 0).all()


def test_prepare_adds_the_channel() -> None:
    pixels = radiograph_like(300, 200)
    prepared = prepare(pixels, InputSpec(64))
    assert prepared.shape == (1, 64, 64)
    np.testing.assert_array_equal(prepared[0], standardise(resize(pixels, 64), 4.0))


@pytest.mark.parametrize("side_px", [0, 31, 33, 100, 1056, -32])
def test_sides_the_network_cannot_have_are_refused(side_px: int) -> None:
    with pytest.raises(PackageInvalidError, match=f"side is {side_px} px"):
        InputSpec(side_px)


def test_unknown_intensity_is_refused() -> None:
    with pytest.raises(PackageInvalidError, match="'raw'"):
        InputSpec(224, "raw")


@pytest.mark.parametrize("side_px", [32, 224, 1024])
def test_sides_at_the_limits_are_accepted(side_px: int) -> None:
    assert InputSpec(side_px).side_px == side_px
