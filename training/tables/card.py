"""The card of a model of people, rendered from the configuration and the evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any

from training.against_champion import PICTURE
from training.card import opening, pictures, reproduction, use
from training.card_tables import table_of
from training.champion_section import CAPTION, champion_section
from training.operating_point import rule_lines
from training.performance_section import abstention, too_few
from training.tables.config import TableConfig
from training.tables.robustness_section import CAPTION as ROBUSTNESS_CAPTION
from training.tables.robustness_section import PICTURE as ROBUSTNESS_PICTURE
from training.tables.robustness_section import robustness_section

_CAPTIONS = {
    "roc.png": "ROC curve of the test part; the dot is the operating point.",
    "reliability.png": "How often the outcome was found against the probability that was given.",
    PICTURE: CAPTION,
    ROBUSTNESS_PICTURE: ROBUSTNESS_CAPTION,
    "curves.png": "What each input adds to the log-odds, on one scale; 0 is the average person.",
}


def render_table_card(
    config: TableConfig, evaluation: Mapping[str, Any], figures: Sequence[str]
) -> str:
    """Return the card in Markdown; `figures` are files that lie beside it."""
    sections = [
        opening(config),
        use(config),
        _inputs(evaluation),
        _performance(config, evaluation),
        champion_section(evaluation, "people"),
        _sites(evaluation),
        robustness_section(evaluation),
        _safety(evaluation),
        _graph(evaluation),
        _data(config, evaluation),
        "\n".join(["## Limits", "", *(f"- {limit}" for limit in config.package.limits)]),
        pictures(figures, _CAPTIONS),
        reproduction(config, evaluation),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _inputs(evaluation: Mapping[str, Any]) -> str:
    rows = [
        f"| `{each['name']}` | {each['label']['en']} / {each['label']['zh']} | "
        f"{each['unit'] or ', '.join(each['categories']) or 'count'} | "
        f"{'may be missing' if each['optional'] else 'needed'} | {each['mean_contribution']:.2f} |"
        for each in evaluation["inputs"]
    ]
    return "\n".join(
        [
            "## Inputs",
            "",
            "The log-odds are the sum of one curve for each input, so what an input adds is exact. "
            "An input that is missing adds nothing. The last column is how much an input moves the "
            "log-odds on average, up or down.",
            "",
            *table_of(("input", "name", "unit or values", "", "mean contribution"), rows),
        ]
    )


def _performance(config: TableConfig, evaluation: Mapping[str, Any]) -> str:
    test = evaluation["test"]
    decided = test["decisions"]
    unknown = evaluation["provenance"]["data"]["unknown_outcome"]
    horizon = (
        f" The outcome within {config.horizon_years:g} years is not known of {unknown} people who "
        "were lost before; the others are weighted to make up for them (inverse probability of "
        "censoring)."
        if config.horizon_years is not None
        else ""
    )
    return "\n".join(
        [
            "## Performance",
            "",
            f"{test['images']} people that nothing was chosen by, {test['positives']} with the "
            f"outcome. 95 % intervals from resampled people; decisions at the packaged operating "
            f"point {decided['operating_point']:.3f}.{horizon}",
            "",
            *_figures(test),
            *too_few(test),
            *rule_lines(evaluation, counted="people"),
            "",
            abstention(decided),
        ]
    )


_FIGURES = {
    "auc": "AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "calibration_error": "calibration error",
    "brier": "Brier score",
}


def _figures(test: Mapping[str, Any]) -> list[str]:
    """Return the lines of a table with one row for all people and for each subgroup of them."""
    everybody = {**test["figures"], "images": test["images"], "positives": test["positives"]}
    groups = {"test part": everybody, **test["subgroups"]}
    rows = [
        f"| {name} | {each['images']} | {each['positives']} | "
        + " | ".join(_told(each, figure) for figure in _FIGURES)
        + " |"
        for name, each in groups.items()
        if not each.get("too_few")
    ]
    return [
        *table_of(("people", "number", "with the outcome", *_FIGURES.values()), rows),
        *_grades(test),
    ]


def _grades(test: Mapping[str, Any]) -> list[str]:
    """Return a line that says what the subgroups are whose names are numbers, if there are any."""
    if not any(name.isdigit() for name in test["subgroups"]):
        return []
    told = "Rows whose name is a number are grades of the disease as the data have them"
    return ["", f"{told}: people of that grade with all who do not have it."]


def _sites(evaluation: Mapping[str, Any]) -> str:
    if "sites" not in evaluation:
        return ""
    rows = [
        f"| {name} | {each['images']} | {each['positives']} | "
        f"{_told(each['within'], 'auc')} | {_told(each['unseen'], 'auc')} | "
        f"{each['unseen']['auc']['value'] - each['within']['auc']['value']:+.3f} | "
        f"{each['unseen_mean_probability']:.2f} / {each['share']:.2f} |"
        for name, each in evaluation["sites"].items()
    ]
    heads = ("site", "people", "with the outcome", "AUC, all sites trained on")
    return "\n".join(
        [
            "## When the site is another",
            "",
            "Each site predicted by a model that was made on the other sites alone, beside a model "
            "that was made on people of all sites, each person predicted by a model without them "
            "(cross-validation). The last column is the mean predicted probability beside the "
            "share that was found: where they differ, the model must be calibrated anew before "
            "it is used.",
            "",
            *table_of((*heads, "AUC, site unseen", "drop", "predicted / found"), rows),
        ]
    )


def _told(figures: Mapping[str, Any], name: str) -> str:
    entry = figures[name]
    return f"{entry['value']:.3f} ({entry['low']:.3f}-{entry['high']:.3f})"


def _safety(evaluation: Mapping[str, Any]) -> str:
    rows = [
        f"| {kind} | {f['images']} | {f['refused_share']:.1%} | {f['median_score']:.2f} |"
        for kind, f in evaluation["out_of_distribution"].items()
    ]
    return "\n".join(
        [
            "## What is refused by its inputs",
            "",
            "Share of people whose inputs together are farther from the training data than the "
            "limit. A value outside its plausible range is refused before this.",
            "",
            *table_of(("people", "number", "refused", "median distance"), rows),
        ]
    )


def _graph(evaluation: Mapping[str, Any]) -> str:
    worst = evaluation["export"]["largest_differences"]
    return "\n".join(
        [
            "## Graph",
            "",
            f"ONNX (opset {evaluation['export']['opset']}) against numpy in double precision on "
            f"{worst['people']} people: log-odds within {worst['logits']:.1e}, contributions "
            f"within {worst['contributions']:.1e}. It is a few kilobytes and has no 8-bit form.",
        ]
    )


def _data(config: TableConfig, evaluation: Mapping[str, Any]) -> str:
    data = evaluation["provenance"]["data"]
    parts = ", ".join(f"{count} {name}" for name, count in data["images"].items())
    return "\n".join(
        [
            "## Data",
            "",
            f"{config.package.data_source} People: {parts}; nobody is in two parts.",
            "",
            *(f"- {reference}" for reference in config.package.references),
        ]
    )
