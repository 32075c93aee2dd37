"""Tables of the cards, in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

_FIGURES = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "calibration_error": "expected calibration error",
    "brier": "Brier score",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
}


def figure_table(columns: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Return the lines of a table of figures with intervals, one column for each group."""
    rows = [
        f"| {title} | " + " | ".join(_interval(figures[name]) for _, figures in columns) + " |"
        for name, title in _FIGURES.items()
        if all(name in figures for _, figures in columns)
    ]
    return table_of(("figure", *(title for title, _ in columns)), rows)


def _interval(entry: Mapping[str, float]) -> str:
    return f"{entry['value']:.3f} ({entry['low']:.3f}-{entry['high']:.3f})"


def table_of(columns: Sequence[str], rows: Sequence[str]) -> list[str]:
    """Return the lines of a table in Markdown."""
    return [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns), *rows]
