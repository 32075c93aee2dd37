"""What stands over the pictures of an evaluation."""

import pytest
from matplotlib.textpath import TextPath

from training.config import available, load_any_config
from training.plots import COLUMN_INCHES, TITLE_POINTS
from training.report import caption

POINTS_PER_INCH = 72


@pytest.mark.parametrize("name", available())
def test_no_caption_is_wider_than_its_picture(name: str) -> None:
    labels = load_any_config(name).package.labels
    told = caption(max(labels, key=len), labels, labels.index(max(labels, key=len)), 0.955)
    for line in told.splitlines():
        width = TextPath((0, 0), line, size=TITLE_POINTS).get_extents().width
        assert width < COLUMN_INCHES * POINTS_PER_INCH, line


def test_a_caption_says_what_the_picture_is_and_what_the_model_says() -> None:
    assert caption("bacteria", ("pneumonia",), 0, 0.934) == "bacteria: 0.93"
    assert caption("benign", ("benign", "squamous_cell_carcinoma"), 1, 0.5) == (
        "benign\nmodel: squamous cell carcinoma 0.50"
    )
