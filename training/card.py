"""The model card, rendered from the configuration and the evaluation; nothing in it by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets.reviews.summary import section
from training.against_champion import PICTURE
from training.card_tables import figure_table, table_of
from training.champion_section import CAPTION, champion_section
from training.config import TrainConfig
from training.lung_evaluation import lung_lines
from training.performance_section import held_out_in_words, kept_together, performance_section
from training.tables.config import TableConfig

_CAPTIONS = {
    "roc.png": "ROC curves of the test part, plain and shifted; the dots are the operating point.",
    "reliability.png": "How often the finding is present against the probability that was given.",
    "decision-curve.png": "Net benefit against the threshold at which one would act.",
    "learning.png": "Validation over the epochs of training.",
    "out-of-distribution.png": "Distances of the test part and of inputs of other kinds.",
    PICTURE: CAPTION,
    "heatmaps.png": "Test images over the whole range of probabilities, with what speaks for it.",
}


_CHEST_LIMITS = (
    "One hospital, children, two classes: it says nothing about adults, other diseases "
    "or other hospitals' populations, and has not been tried in clinical use.",
    "Ages, sexes and devices are not in the data: no subgroup by them can be measured.",
    "The image's label is that of the source; some images are ambiguous to a reader.",
    "Regions show what raised the score on a coarse grid, not the outline of a lesion.",
    "A result of `absent` does not exclude disease.",
)
"""Of the configuration that was released before configurations named their limits."""


def render_card(config: TrainConfig, evaluation: Mapping[str, Any], figures: Sequence[str]) -> str:
    """Return the card in Markdown; `figures` are files that lie beside it."""
    sections = [
        opening(config),
        use(config),
        performance_section(config, evaluation),
        champion_section(evaluation, f"{kept_together(evaluation)}s"),
        _shift(evaluation) if "scenarios" in evaluation else "",
        _changes(evaluation),
        "\n".join(lung_lines(evaluation["lungs"])) if "lungs" in evaluation else "",
        _safety(evaluation),
        _graph(config, evaluation),
        _data(config, evaluation),
        _limits(config),
        pictures(figures),
        reproduction(config, evaluation),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def opening(config: TrainConfig | TableConfig) -> str:
    """Return the title and what the model is, and is not."""
    return "\n\n".join(
        (
            f"# {config.name} {config.version}",
            config.package.description,
            "**Decision support for professionals. Not cleared as a medical device; "
            "not for primary diagnosis.**",
            "**仅供专业人员辅助决策。未经医疗器械注册审批，不得作为诊断依据。**",
        )
    )


def use(config: TrainConfig | TableConfig) -> str:
    """Return the intended use in words, as rules, and the findings with their codes."""
    package = config.package
    found = [(label, *package.finding(label)) for label in package.labels]
    codes = [
        f"| {label} | {name.en} / {name.zh} | "
        + ", ".join(f"{code.value} ({code.system})" for code in codes)
        + " |"
        for label, name, codes in found
    ]
    rules = [f"| {rule['fact']} | {_allowed(rule)} |" for rule in package.rules]
    return "\n".join(
        [
            "## Intended use · 适用范围",
            "",
            package.statement["en"],
            "",
            package.statement["zh"],
            "",
            *(_rules(rules) if rules else ()),
            *table_of(("finding", "name", "codes"), codes),
        ]
    )


def _rules(rules: list[str]) -> list[str]:
    return [
        *table_of(("fact of the input", "accepted"), rules),
        "",
        "A fact that the input does not state is reported as not checked.",
        "",
    ]


def _shift(evaluation: Mapping[str, Any]) -> str:
    shifted = evaluation["test"]["shifted"]
    scenarios = evaluation["scenarios"]
    rows = [
        f"| {name} | {f['auc']:.3f} | {f['sensitivity']:.3f} | {f['specificity']:.3f} |"
        for name, f in scenarios["scenarios"].items()
    ]
    return "\n".join(
        [
            "## When the acquisition is another",
            "",
            "In the training data the two classes were acquired differently: sharpness, contrast, "
            "borders and aspect ratio alone tell them apart. *Matched weights* count each image "
            "so that the classes look as if acquired alike; the *swapped quarter* is the quarter "
            "of each class that looks most as if acquired as the other.",
            "",
            *figure_table(list(shifted.items())),
            "",
            f"Scenarios: {scenarios['images']} test images of one class, or of each in its own "
            "way, changed as another department might have made them.",
            "",
            *table_of(("scenario", "AUC", "sensitivity", "specificity"), rows),
        ]
    )


def _changes(evaluation: Mapping[str, Any]) -> str:
    robustness = evaluation["robustness"]
    rows = [
        f"| {name} | {f['auc']:.3f} | {f['accuracy']:.3f} | "
        f"{f.get('mean_probability_change', 0.0):.3f} |"
        for name, f in robustness["changes"].items()
    ]
    return "\n".join(
        [
            "## When the image is changed",
            "",
            f"{robustness['images']} test images, all changed alike. "
            + (
                "With the lungs covered the AUC should fall towards 0.5: what is left of it is not "
                "the finding."
                if "lungs covered" in robustness["changes"]
                else "Where nothing but the mean colour is left, what is still told apart is the "
                "stain and not the tissue."
            ),
            "",
            *table_of(("change", "AUC", "accuracy", "mean change of the probability"), rows),
        ]
    )


def _safety(evaluation: Mapping[str, Any]) -> str:
    rows = [
        f"| {kind} | {f['images']} | {f['refused_share']:.1%} | {f['median_score']:.2f} |"
        for kind, f in evaluation["out_of_distribution"].items()
    ]
    return "\n".join(
        [
            "## What is refused by its pixels",
            "",
            "Share of each kind whose distance from the training images is above 1. The rules of "
            "the intended use come before this and are not counted here.",
            "",
            *table_of(("input", "images", "refused", "median distance"), rows),
        ]
    )


def _graph(config: TrainConfig, evaluation: Mapping[str, Any]) -> str:
    worst, gate = evaluation["export"]["largest_differences"], evaluation["int8"]
    outcome = "accepted" if gate["accepted"] else f"refused ({gate['reason']}); not shipped"
    return "\n".join(
        [
            "## Graphs",
            "",
            f"ONNX (opset {evaluation['export']['opset']}) against PyTorch on {worst['images']} "
            f"images: logits within {worst['logits']:.1e}, activation maps within "
            f"{worst['activation_map']:.1e}, embeddings within {worst['embedding']:.1e}.",
            "",
            f"INT8 on {held_out_in_words(config)}: AUC {gate['auc_int8']:.4f} (FP32 "
            f"{gate['auc_fp32']:.4f}), accuracy {gate['accuracy_int8']:.4f} "
            f"(FP32 {gate['accuracy_fp32']:.4f}), decisions changed in "
            f"{gate['changed_decisions']:.2%}: {outcome}.",
        ]
    )


def _data(config: TrainConfig, evaluation: Mapping[str, Any]) -> str:
    data = evaluation["provenance"]["data"]
    leaks, kept = data["leak_check"], kept_together(evaluation)
    names = "' names" if kept == "patient" else ""
    parts = ", ".join(f"{count} {name}" for name, count in data["images"].items())
    references = [f"- {reference}" for reference in config.package.references]
    return "\n".join(
        [
            "## Data",
            "",
            f"{config.package.data_source} Images: {parts}, divided by {kept}; "
            f"{leaks['groups_merged_for_shared_pictures']} sets of {kept}s{names} that share a "
            f"picture were kept together, and no {kept}, file or near-duplicate is in two parts.",
            "",
            *references,
            *(["", *section(data["reviews"])] if "reviews" in data else ()),
        ]
    )


def _limits(config: TrainConfig) -> str:
    limits = config.package.limits or _CHEST_LIMITS
    return "\n".join(["## Limits", "", *(f"- {limit}" for limit in limits)])


def pictures(figures: Sequence[str], captions: Mapping[str, str] | None = None) -> str:
    """Return the pictures that lie beside the card, with their captions; `captions` go first."""
    known = {**_CAPTIONS, **(captions or {})}
    shown = [f"![{known.get(name, name)}]({name})" for name in figures]
    return "\n\n".join(["## Pictures", *shown])


def reproduction(config: TrainConfig | TableConfig, evaluation: Mapping[str, Any]) -> str:
    """Return how the package was made, with the digests of all that decided it."""
    provenance = evaluation["provenance"]
    code = provenance["code"]
    return "\n".join(
        [
            "## How it was made",
            "",
            f"`{_command(config, provenance)}` with seed {provenance['seed']}, code at commit "
            f"`{code['commit']}`{' with later changes' if code['changed_since'] else ''}.",
            "",
            f"- configuration `{provenance['configuration_digest']}`",
            f"- manifest `{provenance['data']['manifest_digest']}`",
            f"- split `{provenance['data']['split_digest']}`",
            *_started_from(config),
            *_taken_over(config, provenance),
            "",
            f"Licence: {config.package.licence}.",
        ]
    )


def _command(config: TrainConfig | TableConfig, provenance: Mapping[str, Any]) -> str:
    if "reviews" in provenance["data"]:
        return f"zhuzhen train {config.name} --from-reviews reviews.jsonl"
    return f"make train MODEL={config.name}"


def _started_from(config: TrainConfig | TableConfig) -> list[str]:
    initial = config.network.initial if isinstance(config, TrainConfig) else None
    if initial is None:
        return []
    return [f"- started from {initial.package} {initial.version} `{initial.digest}`"]


def _taken_over(config: TrainConfig | TableConfig, provenance: Mapping[str, Any]) -> list[str]:
    """Return of which version all but the card is, where the networks were not trained for it."""
    facts = provenance.get("taken_over")
    if facts is None:
        return []
    return [
        f"- graphs, calibration, reference and figures are those of {config.name} "
        f"{facts['version']} `{facts['digest']}`, whose configuration is "
        f"`{facts['configuration_digest']}`; card and comparison with the champion were made of it "
        f"by code at commit `{facts['code']['commit']}`",
    ]


def _allowed(rule: Mapping[str, Any]) -> str:
    if "allowed" in rule:
        return ", ".join(rule["allowed"])
    margin = rule.get("margin", 0)
    return f"from {rule['minimum']:g} to below {rule['below']:g}, margin {margin:g}"
