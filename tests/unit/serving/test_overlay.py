import io

import numpy as np
import pytest
from PIL import Image

from models.findings import (
    Decision,
    Finding,
    ModelReference,
    PreRead,
    Reason,
    Region,
    Text,
    Verdict,
)
from models.radiograph import Radiograph, RadiographFacts
from serving.overlay import draw_overlay, png_of
from serving.recognition import Reading

FACTS = RadiographFacts(source_format="PNG")
BOX = (0, 220, 255)


def reading(
    pixels: np.ndarray,
    *regions: Region,
    rows: int | None = None,
    reasons: tuple[Reason, ...] = (),
    decision: Decision = Decision.PRESENT,
) -> Reading:
    finding = Finding(
        label="pneumonia",
        name=Text("Pneumonia", "肺炎"),
        codes=(),
        probability=0.9,
        operating_point=0.5,
        decision=decision,
        conformal_set=("present",),
        conformal_coverage=0.95,
        regions=regions,
    )
    pre_read = PreRead(
        model=ModelReference("chest-xray-pneumonia", "1.0.0", "sha256:0"),
        verdict=Verdict.ACCEPTED,
        reasons=reasons,
        findings=(finding,),
        facts=FACTS,
        quality=None,
        ood_score=0.1,
    )
    radiograph = Radiograph(pixels, rows or pixels.shape[0], pixels.shape[1], FACTS)
    heat = np.zeros((40, 40), np.float32)
    heat[20:30, 20:30] = 1.0
    return Reading(pre_read, radiograph, {"pneumonia": heat} if regions else {})


def unreadable() -> Reading:
    pre_read = PreRead(
        model=ModelReference("chest-xray-pneumonia", "1.0.0", "sha256:0"),
        verdict=Verdict.UNREADABLE,
        reasons=(Reason("file_format", None, None, Text("no pixels", "无像素")),),
        findings=(),
        facts=None,
        quality=None,
        ood_score=None,
    )
    return Reading(pre_read, None, {})


def test_regions_are_drawn_where_they_lie_in_the_stored_image() -> None:
    # Stored 1440 x 1440, decoded at half of that, drawn 720 wide.
    grey = np.full((720, 1440), 90, np.uint8)

    picture = draw_overlay(reading(grey, Region(720, 720, 360, 360, 0.8), rows=1440))

    assert picture.getpixel((450, 361)) == BOX
    assert picture.getpixel((361, 450)) == BOX
    assert picture.getpixel((200, 200)) == (90, 90, 90)


def test_heat_lies_over_the_image_where_the_activation_is() -> None:
    picture = draw_overlay(
        reading(np.full((720, 720), 90, np.uint8), Region(360, 360, 180, 180, 1))
    )

    red, green, _ = np.asarray(picture)[450, 450]
    assert red > green + 40


def test_an_image_without_regions_stays_grey() -> None:
    pixels = np.asarray(draw_overlay(reading(np.full((720, 720), 90, np.uint8))))[:700]

    assert (pixels == 90).all()


@pytest.mark.parametrize("shape", [(1, 1), (5000, 3), (3, 5000), (30, 40)], ids=str)
def test_any_shape_of_image_can_be_drawn(shape: tuple[int, int]) -> None:
    picture = draw_overlay(reading(np.zeros(shape, np.uint8), Region(0, 0, 1, 1, 1.0)))

    assert picture.width == 720
    assert picture.height < 1400


def test_bytes_without_pixels_still_give_a_picture_of_the_reasons() -> None:
    picture = draw_overlay(unreadable())

    assert np.asarray(picture)[240:].max() > 200


def test_every_reason_takes_room() -> None:
    reasons = tuple(Reason("rule", None, None, Text("word " * 40, "字")) for _ in range(3))
    pixels = np.zeros((100, 100), np.uint8)

    short = draw_overlay(reading(pixels))
    long = draw_overlay(reading(pixels, reasons=reasons), title="child.dcm")

    # Three English lines and a Chinese one a reason, and the title.
    assert long.height - short.height == 13 * 25


def test_an_abstention_takes_a_line_for_its_reason_in_each_language() -> None:
    pixels = np.zeros((100, 100), np.uint8)

    certain = draw_overlay(reading(pixels))
    abstaining = draw_overlay(reading(pixels, decision=Decision.INDETERMINATE))

    assert abstaining.height - certain.height == 2 * 25


def test_png_holds_the_picture() -> None:
    picture = draw_overlay(unreadable())

    read_back = Image.open(io.BytesIO(png_of(picture)))

    assert read_back.format == "PNG"
    assert read_back.tobytes() == picture.tobytes()


def test_the_numbers_at_the_boxes_are_explained_where_there_are_any() -> None:
    pixels = np.full((400, 400), 90, np.uint8)
    without, with_a_box = reading(pixels), reading(pixels, Region(200, 100, 50, 40, 0.8))
    two_lines_px = 2 * 25
    assert draw_overlay(with_a_box).height == draw_overlay(without).height + two_lines_px
