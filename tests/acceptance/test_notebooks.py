"""Every worked example under notebooks/ runs, and is committed with what it shows.

The pictures and tables in the committed files were looked at; here they are made again.
"""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

CELL_TIMEOUT_S = 300
FEWEST_WORDS = 150


def pictures(notebook: Any) -> int:
    """Return how many pictures the cells of `notebook` show."""
    shown = [each for cell in notebook.cells for each in cell.get("outputs", ())]
    return sum("image/png" in each.get("data", {}) for each in shown)


def printed(notebook: Any) -> list[str]:
    """Return what the cells of `notebook` print."""
    return [each["text"] for cell in code(notebook) for each in cell.outputs if "text" in each]


def verdicts(notebook: Any) -> list[str]:
    """Return what the cells of `notebook` print of versions that were judged."""
    lines = [line for text in printed(notebook) for line in text.splitlines()]
    return [line for line in lines if line.endswith(("is the champion", "is NOT promoted"))]


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_shows_as_many_pictures(path: Path) -> None:
    committed = nbformat.read(path, as_version=4)
    notebook = nbformat.read(path, as_version=4)
    # The kernel starts in notebooks/, as it does for a reader, and has to find the packages there.
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    assert pictures(notebook) == pictures(committed)
    assert verdicts(notebook) == verdicts(committed)
    if path.stem == "reading_an_evaluation":
        # It reads what is released: its words are about these figures and no others.
        assert "".join(printed(notebook)) == "".join(printed(committed))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_notebook_ran_in_order_and_says_something(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    counts = [cell.execution_count for cell in code(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert pictures(notebook) >= 1
    text = path.read_text(encoding="utf-8")
    assert str(ROOT) not in text
    assert "Traceback" not in text
    # A warning that a reader would see is an error, as elsewhere.
    shown = [each for cell in code(notebook) for each in cell.outputs]
    assert not [each["text"] for each in shown if each.get("name") == "stderr"]
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert len(" ".join(prose).split()) > FEWEST_WORDS
    assert any("cleared medical device" in each for each in prose)
