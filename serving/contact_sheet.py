"""Several pictures of pre-reads on one sheet, each under its name."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from serving.answers import NOTICE

_COLUMNS = 4
_GAP_PX = 20
_HEADING_PX = 40
_NAME_PX = 26
_KNOWN_PX = 20
_CAPTION_HEIGHT_PX = 72
_HEADING_HEIGHT_PX = 112
_BACKGROUND = (12, 13, 15)
_INK = (235, 235, 235)
_PALE_INK = (170, 170, 170)
_WARNING_INK = (255, 215, 90)


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture of the sheet. The words are English: Pillow brings one font, without Chinese."""

    name: str
    known: str
    """What the input really is."""
    picture: Image.Image
    """RGB, of any size."""


def draw_contact_sheet(tiles: Sequence[Tile], heading: str) -> Image.Image:
    """Return `tiles` in rows of four under `heading`, each row as high as its highest picture.

    The sheet says that it is no diagnosis.
    """
    if not tiles:
        raise ValueError("A contact sheet needs at least one picture.")
    rows = [tiles[start : start + _COLUMNS] for start in range(0, len(tiles), _COLUMNS)]
    width = _GAP_PX + max(sum(tile.picture.width + _GAP_PX for tile in row) for row in rows)
    heights = [_CAPTION_HEIGHT_PX + max(tile.picture.height for tile in row) for row in rows]
    height = _HEADING_HEIGHT_PX + sum(heights) + _GAP_PX * (len(rows) + 1)
    sheet = Image.new("RGB", (width, height), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    _write(draw, (_GAP_PX, 14), heading, _HEADING_PX, _INK)
    _write(draw, (_GAP_PX, 70), NOTICE.en, _NAME_PX, _WARNING_INK)
    top = _HEADING_HEIGHT_PX + _GAP_PX
    for row, row_height in zip(rows, heights, strict=True):
        left = _GAP_PX
        for tile in row:
            _write(draw, (left, top), tile.name, _NAME_PX, _INK)
            _write(draw, (left, top + 34), tile.known, _KNOWN_PX, _PALE_INK)
            sheet.paste(tile.picture, (left, top + _CAPTION_HEIGHT_PX))
            left += tile.picture.width + _GAP_PX
        top += row_height + _GAP_PX
    return sheet


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    size_px: int,
    ink: tuple[int, int, int],
) -> None:
    draw.text(place, text, fill=ink, font=ImageFont.load_default(size_px))
