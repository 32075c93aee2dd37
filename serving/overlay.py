"""A pre-read as a picture: the displayed image, what speaks for a finding, and the words for it,
in English and in Chinese.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.evidence import Heat
from models.findings import Decision, PreRead, Region, Text, Verdict
from serving.answers import NOTICE
from serving.finding_words import VERDICT_WORDS, finding_sentence
from serving.lettering import Ink, draw_text, wrap
from serving.recognition import Reading

_WIDTH_PX = 720
_MOST_HEIGHT_PX = 960
_MARGIN_PX = 14
_TEXT_PX = 18
_LINE_PX = 25
_INK = (235, 235, 235)
_NOTICE_INK = (170, 170, 170)
_PANEL = (24, 26, 30)
_BOX = (0, 220, 255)
_VERDICT_INK = {
    Verdict.ACCEPTED: (120, 220, 140),
    Verdict.OUTSIDE_INTENDED_USE: (255, 180, 70),
    Verdict.OUT_OF_DISTRIBUTION: (255, 180, 70),
    Verdict.UNREADABLE: (255, 110, 110),
}
_DECISION_INK = {
    Decision.PRESENT: (255, 130, 110),
    Decision.ABSENT: (120, 220, 140),
    Decision.INDETERMINATE: (255, 215, 90),
}
_HEAT_OPACITY = 0.45

_WHAT_BOXES_SAY = Text(
    "Numbers at the boxes: class activation, 0 to 1; not a probability.",
    "方框旁的数字为类激活值（0 至 1），并非概率。",
)

Line = tuple[str, Ink]


def draw_overlay(reading: Reading, title: str = "") -> Image.Image:
    """Return the picture of `reading`, RGB, `_WIDTH_PX` wide."""
    picture = _picture(reading)
    lines = _lines(reading.pre_read, title)
    height = picture.height + len(lines) * _LINE_PX + 2 * _MARGIN_PX
    sheet = Image.new("RGB", (_WIDTH_PX, height), _PANEL)
    sheet.paste(picture, ((_WIDTH_PX - picture.width) // 2, 0))
    _write(sheet, lines, picture.height + _MARGIN_PX)
    return sheet


def png_of(image: Image.Image) -> bytes:
    """Return `image` as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _picture(reading: Reading) -> Image.Image:
    radiograph = reading.radiograph
    if radiograph is None:
        return Image.new("RGB", (_WIDTH_PX, _WIDTH_PX // 3), (0, 0, 0))
    # The decoded pixels may be reduced unevenly; the stored image has the true shape.
    scale = min(_WIDTH_PX / radiograph.columns, _MOST_HEIGHT_PX / radiograph.rows)
    size = (max(1, round(radiograph.columns * scale)), max(1, round(radiograph.rows * scale)))
    picture = Image.fromarray(radiograph.pixels).resize(size, Image.Resampling.LANCZOS)
    picture = picture.convert("RGB")
    for heat in reading.heats.values():
        picture = _heated(picture, heat)
    draw = ImageDraw.Draw(picture)
    for finding in reading.pre_read.findings:
        for region in finding.regions:
            _draw_region(draw, region, scale)
    return picture


def _heated(picture: Image.Image, heat: Heat) -> Image.Image:
    fine = Image.fromarray(heat).resize(picture.size, Image.Resampling.BICUBIC)
    level = np.clip(np.asarray(fine), 0.0, 1.0)
    opacity = Image.fromarray((level * _HEAT_OPACITY * 255).astype(np.uint8))
    return Image.composite(Image.fromarray(_warm(level)), picture, opacity)


def _warm(level: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return colours from yellow (0) to red (1), shape (rows, columns, 3)."""
    colours = np.zeros((*level.shape, 3), np.uint8)
    colours[..., 0] = 255
    colours[..., 1] = (230 * (1.0 - level)).astype(np.uint8)
    return colours


def _draw_region(draw: ImageDraw.ImageDraw, region: Region, scale: float) -> None:
    left, top = region.column * scale, region.row * scale
    right, bottom = left + region.width * scale - 1, top + region.height * scale - 1
    draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=_BOX, width=3)
    label = f"{region.score:.2f}"
    font = ImageFont.load_default(_TEXT_PX)
    draw.text((left + 7, top + 5), label, fill=_BOX, font=font, stroke_width=2, stroke_fill="black")


def _lines(pre_read: PreRead, title: str) -> list[Line]:
    told: list[tuple[Text, Ink]] = [(Text(title, ""), _INK)] if title else []
    verdict = VERDICT_WORDS[pre_read.verdict]
    told.append((Text(verdict.en.upper(), verdict.zh), _VERDICT_INK[pre_read.verdict]))
    for finding in pre_read.findings:
        told.append((finding_sentence(finding), _DECISION_INK[finding.decision]))
    if any(finding.regions for finding in pre_read.findings):
        told.append((_WHAT_BOXES_SAY, _NOTICE_INK))
    for reason in pre_read.reasons:
        told.append((Text(f"- {reason.message.en}", f"- {reason.message.zh}"), _INK))
    model = f"{pre_read.model.name} {pre_read.model.version}"
    told.append((Text(f"{model}. NOT FOR PRIMARY DIAGNOSIS. {NOTICE.en}", NOTICE.zh), _NOTICE_INK))
    width_px = _WIDTH_PX - 2 * _MARGIN_PX
    return [
        (line, ink)
        for text, ink in told
        for words in (text.en, text.zh)
        for line in wrap(words, _TEXT_PX, width_px)
    ]


def _write(sheet: Image.Image, lines: list[Line], top_px: int) -> None:
    draw = ImageDraw.Draw(sheet)
    for index, (text, ink) in enumerate(lines):
        draw_text(draw, (_MARGIN_PX, top_px + index * _LINE_PX), text, _TEXT_PX, ink)
