"""What the card says of the figures of the test part, and at which point decisions were taken."""

from collections.abc import Mapping
from typing import Any

from training.card_tables import figure_table
from training.config import TrainConfig
from training.operating_point import rule_lines


def performance_section(config: TrainConfig, evaluation: Mapping[str, Any]) -> str:
    """Return the section of a model of images."""
    test = evaluation["test"]
    if "labels" in test:
        return _of_classes(evaluation)
    units = f"{kept_together(evaluation)}s"
    decided = test["decisions"]
    return "\n".join(
        [
            "## Performance",
            "",
            f"{test['images']} images of {test['patients']} {units} that nothing was chosen by, "
            f"{test['positives']} with the finding. 95 % intervals from resampled {units}; "
            f"decisions at the packaged operating point {decided['operating_point']:.3f}.",
            "",
            _assumed_prevalence(config),
            "",
            *figure_table([("test part", test["figures"]), *subgroup_columns(test)]),
            *too_few(test),
            *rule_lines(evaluation),
            "",
            abstention(decided),
        ]
    )


def _of_classes(evaluation: Mapping[str, Any]) -> str:
    test = evaluation["test"]
    labels = test["labels"]
    groups = f"{evaluation['provenance']['data'].get('kept_together', 'group')}s"
    told = [f"- {name}: {abstention(each['decisions'])}" for name, each in labels.items()]
    return "\n".join(
        [
            "## Performance",
            "",
            f"{test['images']} images of {test['patients']} {groups} that nothing was chosen by. "
            f"95 % intervals from resampled {groups}. The likeliest class is called:",
            "",
            *figure_table([("test part", test["figures"])]),
            "",
            "Each class against the others, decisions at the packaged operating point:",
            "",
            *figure_table([(name, each["figures"]) for name, each in labels.items()]),
            *rule_lines(evaluation),
            "",
            *told,
        ]
    )


def subgroup_columns(test: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the subgroups that were measured, as columns of a table of figures."""
    subtypes = ("bacteria", "virus")
    return [
        (f"{name} and normal" if name in subtypes else f"{name} (n={figures['images']})", figures)
        for name, figures in test["subgroups"].items()
        if not figures.get("too_few")
    ]


def too_few(test: Mapping[str, Any]) -> list[str]:
    """Return a line that names the subgroups that are too few to be measured, or nothing."""
    few = [
        f"{name} ({figures['images']}, {figures['positives']} with the finding)"
        for name, figures in test["subgroups"].items()
        if figures.get("too_few")
    ]
    return ["", f"Too few to be measured: {'; '.join(few)}."] if few else []


def abstention(decided: Mapping[str, Any]) -> str:
    """Return how well the conformal sets cover, and how often the model abstains."""

    def told(name: str) -> str:
        low, high = decided.get("intervals", {}).get(name, (None, None))
        interval = "" if low is None else f" ({low:.1%}-{high:.1%})"
        return f"{decided[name]:.1%}{interval}"

    return (
        f"Conformal sets at a stated coverage of {decided['stated_coverage']:.0%} hold the "
        f"truth for {told('coverage_of_positives')} of the positives and "
        f"{told('coverage_of_negatives')} of the negatives. The model abstains on "
        f"{told('indeterminate_share')} and is right in "
        f"{told('accuracy_where_decided')} of the rest."
    )


def _assumed_prevalence(config: TrainConfig) -> str:
    share = config.calibration.prevalence
    if share is None:
        part = held_out_in_words(config)
        return f"Probabilities are calibrated for the share of positives of {part}."
    return (
        f"Probabilities are calibrated for places where {share:.1%} of the images show the "
        "finding; where fewer do, they are too high. The figures above and below are at the test "
        "part's own share."
    )


def held_out_in_words(config: TrainConfig) -> str:
    """Return what calibration, thresholds and gates were fitted to, in words."""
    if not config.members.cross_fitted:
        return "the validation part"
    return (
        f"the training and validation parts (cross-fitted: each image by the one of "
        f"{config.members.count} networks that did not learn from it)"
    )


def kept_together(evaluation: Mapping[str, Any]) -> str:
    """Return what a group of the data is; patients are not named as such by every data set."""
    kept: str = evaluation["provenance"]["data"].get("kept_together", "patient")
    return kept
