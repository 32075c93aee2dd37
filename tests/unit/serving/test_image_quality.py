import numpy as np
import pytest
from numpy.typing import NDArray

from models.preprocessing import resize
from models.radiograph import Radiograph, RadiographFacts
from serving.image_quality import blank, measure_quality


def radiograph(pixels: NDArray[np.uint8]) -> Radiograph:
    return Radiograph(
        pixels, pixels.shape[0], pixels.shape[1], RadiographFacts(source_format="PNG")
    )


def noise(rows: int, columns: int, low: int = 0, high: int = 256) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(low, high, (rows, columns)).astype(np.uint8)


def remarks(pixels: NDArray[np.uint8]) -> list[str]:
    quality = measure_quality(radiograph(pixels), resize(pixels, 224))
    return [remark.en for remark in quality.remarks]


def test_figures_are_those_of_the_pixels() -> None:
    pixels = np.zeros((400, 400), np.uint8)
    pixels[:, 200:] = 255

    quality = measure_quality(radiograph(pixels), resize(pixels, 224))

    assert (quality.rows, quality.columns) == (400, 400)
    assert quality.dynamic_range == 1.0
    assert quality.clipped_fraction == 1.0
    # One step of 255 in each row of 223 differences.
    assert quality.sharpness == pytest.approx(255 / 223, rel=0.01)


def test_grey_levels_span_what_99_of_100_pixels_do() -> None:
    pixels = np.full((200, 200), 100, np.uint8)
    pixels[:2] = 150  # one in a hundred
    pixels[100:] = 120

    quality = measure_quality(radiograph(pixels), resize(pixels, 224))

    assert quality.dynamic_range == pytest.approx(20 / 255)


def test_a_clear_image_has_no_remarks() -> None:
    assert remarks(noise(600, 600, 5, 250)) == []


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        pytest.param(noise(150, 400, 5, 250), "150 x 400 pixels, fewer than the 224", id="small"),
        pytest.param(noise(600, 600, 100, 160), "low contrast", id="flat"),
        pytest.param(np.sign(noise(600, 600) // 128) * np.uint8(255), "100% of", id="clipped"),
        pytest.param(
            np.tile(np.linspace(0, 255, 600).astype(np.uint8), (600, 1)), "little detail", id="soft"
        ),
    ],
)
def test_what_should_make_a_reader_careful_is_said(pixels: NDArray[np.uint8], said: str) -> None:
    assert any(said in remark for remark in remarks(pixels))


@pytest.mark.parametrize(("spread", "refused"), [(12, True), (60, False)])
def test_a_nearly_uniform_image_is_blank(spread: int, refused: bool) -> None:
    pixels = noise(300, 300, 100, 100 + spread)

    reason = blank(measure_quality(radiograph(pixels), resize(pixels, 224)))

    assert (reason is not None) is refused
