"""Several pictures of pre-reads on one sheet."""

from collections.abc import Sequence

from PIL import Image

_COLUMNS = 4
_GAP_PX = 16
_BACKGROUND = (12, 13, 15)


def draw_contact_sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return `pictures` in rows of four, each row as high as its highest picture."""
    if not pictures:
        raise ValueError("A contact sheet needs at least one picture.")
    rows = [pictures[start : start + _COLUMNS] for start in range(0, len(pictures), _COLUMNS)]
    width = max(sum(picture.width + _GAP_PX for picture in row) for row in rows) + _GAP_PX
    heights = [max(picture.height for picture in row) for row in rows]
    sheet = Image.new("RGB", (width, sum(heights) + _GAP_PX * (len(rows) + 1)), _BACKGROUND)
    top = _GAP_PX
    for row, height in zip(rows, heights, strict=True):
        left = _GAP_PX
        for picture in row:
            sheet.paste(picture, (left, top))
            left += picture.width + _GAP_PX
        top += height + _GAP_PX
    return sheet
