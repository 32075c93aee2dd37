"""The contact sheet: every picture whole, under its name, with the notice."""

import numpy as np
import pytest
from PIL import Image

from serving.contact_sheet import Tile, draw_contact_sheet


def tile(width: int, height: int, colour: tuple[int, int, int], name: str = "a.dcm") -> Tile:
    return Tile(name, "chest of a child", Image.new("RGB", (width, height), colour))


@pytest.mark.parametrize("count", [1, 4, 5])
def test_every_picture_is_on_the_sheet_whole(count: int) -> None:
    sizes = [(60 + 10 * index, 90 - 10 * index) for index in range(count)]
    colours = [(255, 40 * index, 0) for index in range(count)]
    tiles = [tile(*size, colour) for size, colour in zip(sizes, colours, strict=True)]
    pixels = np.asarray(draw_contact_sheet(tiles, "Model 1.0.0"))
    for (width, height), colour in zip(sizes, colours, strict=True):
        rows, columns = np.nonzero((pixels == colour).all(axis=2))
        assert len(rows) == width * height
        assert [int(np.ptp(rows)), int(np.ptp(columns))] == [height - 1, width - 1]


def test_names_and_heading_are_written() -> None:
    dark = (12, 13, 15)
    named = np.asarray(draw_contact_sheet([tile(900, 50, dark, "child-normal-1.dcm")], "Model"))
    nameless = np.asarray(draw_contact_sheet([tile(900, 50, dark, "")], "Model"))
    headless = np.asarray(draw_contact_sheet([tile(900, 50, dark, "")], ""))
    assert (named != nameless).any()
    assert (nameless != headless).any()


def test_an_empty_sheet_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        draw_contact_sheet([], "Model")
