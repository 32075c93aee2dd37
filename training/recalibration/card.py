"""The card of a recalibrated score, rendered from its evaluation; nothing in it by hand."""

from collections.abc import Mapping
from typing import Any

from models.risk.recalibration import Recalibration

_FIGURES = {
    "mean_risk_percent": "mean risk (%)",
    "observed_percent": "had the event (%)",
    "observed_to_expected": "observed / expected (1 is right)",
    "intercept": "calibration intercept (0 is right)",
    "slope": "calibration slope (1 is right)",
    "auc": "AUC",
    "brier": "Brier score",
    "calibration_error": "expected calibration error",
}


def render_card(made: Recalibration, evaluation: Mapping[str, Any], picture: str) -> str:
    """Return the card in Markdown; `picture` lies beside it."""
    sections = (
        _opening(made),
        _use(made),
        _fit(evaluation),
        _performance(evaluation, picture),
        _data(made, evaluation),
        _limits(made),
        _reproduction(evaluation),
    )
    return "\n\n".join(sections) + "\n"


def _opening(made: Recalibration) -> str:
    return "\n\n".join(
        (
            f"# {made.name} {made.version}",
            f"{made.of.title.en}, recalibrated for {made.cohort.en}.",
            f"{made.of.title.zh}，按{made.cohort.zh}的数据重新校准。",
            "**Decision support for professionals. Not cleared as a medical device.**",
            "**仅供专业人员辅助决策。未经医疗器械注册审批。**",
        )
    )


def _use(made: Recalibration) -> str:
    return (
        "## Intended use · 适用范围\n\n"
        f"{made.told.en} For these people in place of the published score, which stays available "
        f"as `{made.of.id}`.\n\n"
        f"{made.told.zh}用于该人群时可替代原公式；原公式（`{made.of.id}`）仍可使用。\n\n"
        f"Outcome: {made.of.outcome.en}, within {made.horizon_years:g} years."
    )


def _fit(evaluation: Mapping[str, Any]) -> str:
    rows = [
        f"| {name} | {one['value']:.4f} | {one['low']:.4f} to {one['high']:.4f} |"
        for name, one in evaluation["fit"]["coefficients"].items()
    ]
    return "\n".join(
        (
            "## Fit",
            "",
            f"On {evaluation['fit']['people']:,} people, {evaluation['fit']['events']:,} with the "
            f"event, on the scale `{evaluation['scale']}` of the published risk. Intervals from "
            "resampled people.",
            "",
            "| | value | 95 % interval |",
            "|---|---|---|",
            *rows,
        )
    )


def _performance(evaluation: Mapping[str, Any], picture: str) -> str:
    held = evaluation["held_out"]
    rows = [
        f"| {told} | {_number(held['before'][name])} | {_number(held['after'][name])} |"
        for name, told in _FIGURES.items()
    ]
    groups = [
        f"| {row['attribute']}: {row['value']} | {row['people']:,} | {row['events']:,} | "
        f"{row['before']:.2f} | {row['after']:.2f} |"
        for row in held["subgroups"]
    ]
    return "\n".join(
        (
            "## Performance before and after",
            "",
            f"On {held['people']:,} people held out of the fit, {held['events']:,} with the event.",
            "",
            "| | published | recalibrated |",
            "|---|---|---|",
            *rows,
            "",
            f"![Calibration of both on the people held out]({picture})",
            "",
            "Observed / expected by subgroup (those with 20 events or more):",
            "",
            "| subgroup | people | events | published | recalibrated |",
            "|---|---|---|---|---|",
            *groups,
        )
    )


def _number(one: Mapping[str, float]) -> str:
    return f"{one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})"


def _data(made: Recalibration, evaluation: Mapping[str, Any]) -> str:
    cohort = evaluation["cohort"]
    refused = [f"| {why} | {count:,} |" for why, count in cohort["refused"].items()]
    table = ["", "| rows without a number | rows |", "|---|---|", *refused] if refused else []
    lost = (
        "Who was lost from observation is made up for by inverse probability of censoring weights, "
        "which take it that being lost tells nothing of the risk."
        if cohort["with_follow_up"]
        else "Every outcome is of the whole horizon."
    )
    return "\n".join(
        (
            "## Data",
            "",
            f"{made.cohort.en} / {made.cohort.zh}; {cohort['rows']:,} rows, "
            f"{cohort['scored']:,} with a number. {lost}",
            *table,
        )
    )


def _limits(made: Recalibration) -> str:
    return (
        "## Limits\n\n"
        f"- {made.of.limits.en}\n"
        "- Intercept and slope move and stretch the published risk; they do not change in which "
        "order it puts people, nor what it makes of single inputs.\n"
        "- Held out of the fit are people of the same cohort; other places and later years are "
        "not, and the recalibration ages with its cohort.\n"
        "- Rows without a number had no part in it."
    )


def _reproduction(evaluation: Mapping[str, Any]) -> str:
    made = evaluation["provenance"]
    return (
        "## Reproduction\n\n"
        f"- published score: `{evaluation['score']}` {evaluation['score_version']}\n"
        f"- cohort: `{made['data']['digest']}`\n"
        f"- code: `{made['code']['commit']}`"
        f"{', changed since' if made['code']['changed_since'] else ''}\n"
        f"- seed: {made['seed']}"
    )
