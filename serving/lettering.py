"""Words on pictures, English and Chinese: how wide they are, where a line breaks, and drawing them.

Pillow's own font draws what is not Chinese and `serving/fonts` the rest, character by character.
Most lines are on every picture: what was broken and drawn before is remembered.
"""

import math
from functools import cache, lru_cache
from importlib import resources
from itertools import groupby

from PIL import Image, ImageDraw, ImageFont

Ink = tuple[int, int, int]
Font = ImageFont.FreeTypeFont

_CHINESE_FONT = "fonts/droid-sans-fallback-gb2312.ttf"
_REMEMBERED = 256
"""Texts, of at most some 20 kB each as they are drawn."""
_FIRST_CHINESE = "\u2e80"
"""From here on (CJK radicals, punctuation, ideographs, full-width forms) Pillow's font is empty."""


def text_width_px(text: str, size_px: int) -> float:
    """Return how wide `text` is drawn."""
    return sum(_font(chinese, size_px).getlength(run) for chinese, run in _runs(text))


def wrap(text: str, size_px: int, width_px: float) -> list[str]:
    """Return `text` as lines of at most `width_px`, broken at spaces and between ideographs."""
    return list(_lines(text, size_px, width_px))


@lru_cache(_REMEMBERED)
def _lines(text: str, size_px: int, width_px: float) -> tuple[str, ...]:
    lines, line = [], ""
    for word in _words(text):
        if line and text_width_px(line + word.rstrip(), size_px) > width_px:
            lines.append(line.rstrip())
            line = ""
        line += word
    return (*lines, line.rstrip()) if line.strip() else tuple(lines)


def draw_text(
    draw: ImageDraw.ImageDraw, position: tuple[int, int], text: str, size_px: int, ink: Ink
) -> None:
    """Draw `text` with its upper left corner at `position`."""
    left, top = position
    draw.bitmap((left - size_px, top - size_px), _drawn(text, size_px), fill=ink)


@lru_cache(_REMEMBERED)
def _drawn(text: str, size_px: int) -> Image.Image:
    """Return how much ink `text` leaves where, 0 to 255; with `size_px` of room around it."""
    width_px = math.ceil(text_width_px(text, size_px)) + 2 * size_px
    drawn = Image.new("L", (width_px, 3 * size_px))
    draw = ImageDraw.Draw(drawn)
    left = float(size_px)
    for chinese, run in _runs(text):
        font = _font(chinese, size_px)
        draw.text((left, 2 * size_px), run, fill=255, font=font, anchor="ls")
        left += font.getlength(run)
    return drawn


def _is_chinese(character: str) -> bool:
    return character >= _FIRST_CHINESE


def _runs(text: str) -> list[tuple[bool, str]]:
    return [(chinese, "".join(run)) for chinese, run in groupby(text, _is_chinese)]


def _words(text: str) -> list[str]:
    """Return the pieces between which a line may break, each with the space after it."""
    words: list[str] = []
    word = ""
    for character in text:
        if _is_chinese(character):
            # No line begins with a punctuation mark.
            if word or not words or character not in "，。；：、）”！？":
                words += [word] if word else []
                word = ""
                words.append(character)
            else:
                words[-1] += character
        else:
            word += character
            if character == " ":
                words.append(word)
                word = ""
    return [*words, word] if word else words


@cache
def _font(chinese: bool, size_px: int) -> Font:
    if not chinese:
        default = ImageFont.load_default(size_px)
        assert isinstance(default, ImageFont.FreeTypeFont)  # noqa: S101 - as Pillow is built here
        return default
    with resources.as_file(resources.files("serving") / _CHINESE_FONT) as path:
        return ImageFont.truetype(str(path), size_px)
