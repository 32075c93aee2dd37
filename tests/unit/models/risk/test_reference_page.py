"""The committed page is the one that the tables make."""

from models.risk.inputs import INPUTS
from models.risk.reference_page import PAGE, render
from models.risk.registry import SCORES


def test_page_is_current() -> None:
    told = "run python -m models.risk.reference_page"
    assert PAGE.read_text(encoding="utf-8") == render(), told


def test_every_score_and_input_is_described() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert not [name for name in (*SCORES, *INPUTS) if f"`{name}`" not in page]
