"""The distribution of a population's scores, as a picture."""

from itertools import pairwise
from pathlib import Path

from models.risk.score import Score
from serving.risk.summaries import Summary


def draw_distribution(score: Score, summary: Summary, path: Path) -> None:
    """Draw the histogram of `summary` with the limits of the categories into a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), dpi=120, layout="constrained")
    edges = summary.histogram_edges
    widths = [right - left for left, right in pairwise(edges)]
    axes.bar(edges[:-1], summary.histogram, widths, align="edge", color="#4c78a8")
    for band in score.bands[1:]:
        if edges[0] < band.from_value < edges[-1]:
            axes.axvline(band.from_value, color="#b04a3a", linewidth=1, linestyle="--")
            axes.text(band.from_value, axes.get_ylim()[1], f" {band.name}", va="top", fontsize=8)
    axes.set_xlabel(f"{score.title.en} ({score.unit}); the last bar holds all above")
    axes.set_ylabel("people")
    refused = summary.people - summary.scored
    axes.set_title(
        f"{score.id} {score.version}: {summary.scored:,} of {summary.people:,} people scored, "
        f"{refused:,} refused with a reason\nDecision support; not a cleared medical device",
        fontsize=9,
    )
    figure.savefig(path)
    plt.close(figure)
