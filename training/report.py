"""What is said of a finished training: `evaluation.json` and the pictures that go with it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.description import load_description
from datasets.splits import Part
from training import operating_point, plots
from training.config import TrainConfig
from training.evaluation import (
    Evaluated,
    measure_part,
    measure_robustness,
    measure_scenarios,
)
from training.export import OPSET, parity_facts
from training.far_inputs import far_inputs
from training.graphs import Graphs
from training.lung_evaluation import measure_lungs
from training.members import MemberScores
from training.performance_section import held_out_in_words
from training.provenance import config_digest, libraries, source_code
from training.quantisation import gate_facts
from training.reference_fit import refusals
from training.study_data import StudyData

_SHOWN = 8
"""Images on the heatmap picture."""


def evaluate(
    config: TrainConfig,
    study: StudyData,
    graphs: Graphs,
    scores: Sequence[MemberScores],
    embeddings: Mapping[str, NDArray[np.float32]],
) -> dict[str, Any]:
    """Return the content of `evaluation.json`; `embeddings` are those of `embed_far_inputs`."""
    test = evaluated(study, graphs, Part.TEST)
    validation = evaluated(study, graphs, Part.VALIDATION)
    measured = {
        "model": config.name,
        "version": config.version,
        "provenance": _provenance(config, study),
        "training": {"members": [{"epochs": list(each)} for each in scores]}
        | ({"cross_fitted": True} if config.members.cross_fitted else {}),
        "validation": measure_part(validation, config.evaluation, config.seed),
        "test": measure_part(test, config.evaluation, config.seed),
        "robustness": measure_robustness(test, graphs.runner, config.evaluation),
        "out_of_distribution": refusals(graphs.reference, embeddings),
        "export": {"opset": OPSET, "largest_differences": parity_facts(graphs.parity)}
        | {"tolerances": asdict(config.export)},
        "int8": gate_facts(graphs.gate),
        operating_point.KEY: operating_point_of(config, exclusive=study.manifest.exclusive),
    }
    if study.acquisition.measured:
        measured["scenarios"] = measure_scenarios(test, graphs.runner, config.evaluation)
    if study.lungs is not None:
        measured["lungs"] = measure_lungs(
            test,
            graphs.outputs[Part.TEST].activation_map,
            study.lungs[study.indices(Part.TEST)],
            graphs.runner,
            config.evaluation,
            config.seed,
        )
    return measured


def operating_point_of(config: TrainConfig, *, exclusive: bool) -> dict[str, Any]:
    """Return by which rule the operating points of a model of images are chosen, and on what."""
    return operating_point.operating_point_facts(
        config.calibration,
        held_out_in_words(config),
        exclusive=exclusive,
        matched=config.acquisition.measured,
    )


def evaluated(study: StudyData, graphs: Graphs, part: Part) -> Evaluated:
    """Return one part of the data with what the graph says of it."""
    chosen = study.judged(part)
    return Evaluated(
        manifest=study.manifest.subset(chosen),
        probability=graphs.calibration.probabilities(graphs.outputs[part].logits),
        calibration=graphs.calibration,
        shifted=study.shifted(chosen),
        pixels=study.pixels[chosen],
    )


def embed_far_inputs(
    config: TrainConfig, study: StudyData, graphs: Graphs, data: Path
) -> dict[str, NDArray[np.float32]]:
    """Return the embeddings of the test part and of every kind of far input, by kind."""
    own = study.pixels[study.indices(Part.TEST)]
    found = {"test part": graphs.outputs[Part.TEST].embedding}
    for kind, images in far_inputs(
        data, own, config.evaluation.far_images, study.manifest.source
    ).items():
        found[kind] = graphs.runner.on_images(images).embedding
    return found


def draw(
    study: StudyData,
    graphs: Graphs,
    scores: Sequence[MemberScores],
    embeddings: Mapping[str, NDArray[np.float32]],
    folder: Path,
) -> tuple[Path, ...]:
    """Draw every picture of the evaluation into `folder`."""
    test = evaluated(study, graphs, Part.TEST)
    labels = test.manifest.labels
    several = len(labels) > 1
    parts = {label if several else "test": test.scored(at) for at, label in enumerate(labels)}
    if test.shifted is not None:
        plain = test.scored()
        parts["test, matched weights"] = test.scored(0, test.shifted.weights)
        parts["test, swapped quarter"] = plain.take(np.flatnonzero(test.shifted.swapped))
    points = [label.operating_point for label in graphs.calibration.labels]
    scores_by_kind = {kind: graphs.reference.score(v) for kind, v in embeddings.items()}
    return (
        plots.roc_plot(parts, points[0], folder / "roc.png"),
        plots.reliability_plot(parts, folder / "reliability.png"),
        plots.decision_plot(parts, folder / "decision-curve.png"),
        plots.learning_plot(scores, folder / "learning.png"),
        plots.score_plot(scores_by_kind, folder / "out-of-distribution.png"),
        _heatmaps(test, graphs, folder / "heatmaps.png"),
    )


def _heatmaps(test: Evaluated, graphs: Graphs, path: Path) -> Path:
    """Draw test images over the whole range of probabilities, with what speaks for the label."""
    assert test.pixels is not None  # noqa: S101 - images were evaluated
    chosen = _examples(test)
    likeliest = test.probability[chosen].argmax(axis=1)
    captions = [
        caption(test.manifest.samples[i].subtype, test.manifest.labels, at, test.probability[i, at])
        for i, at in zip(chosen, likeliest, strict=True)
    ]
    maps = graphs.outputs[Part.TEST].activation_map[chosen, likeliest]
    return plots.heatmap_plot(test.pixels[chosen], maps, captions, path)


def caption(subtype: str, labels: Sequence[str], at: int, probability: float) -> str:
    """Return what stands over a picture: what it is, and what the model says of it.

    Of several labels, the names of two do not fit on one line.
    """
    if len(labels) == 1:
        return f"{subtype}: {probability:.2f}"
    said = f"{subtype}\nmodel: {labels[at]} {probability:.2f}"
    return said.replace("_", " ")


def _provenance(config: TrainConfig, study: StudyData) -> dict[str, Any]:
    split = study.split
    return {
        "configuration_digest": config_digest(config),
        "seed": config.seed,
        "code": source_code(),
        "libraries": libraries(),
        "data": {
            "source": study.manifest.source,
            "manifest_digest": study.manifest.digest,
            "manifest_version": study.manifest.version,
            "split_digest": split.digest_for(study.manifest),
            **kept_together_of(config),
            "images": {part.value: len(split.indices(part)) for part in Part},
            "leak_check": {
                # The split would have been refused had any been found: datasets.splits.check_leaks.
                "found_in_two_parts": "none of: group, identical file, near-duplicate picture",
                "groups_merged_for_shared_pictures": len(split.merged_groups),
            },
            **({} if study.reviews is None else {"reviews": study.reviews}),
        },
    }


def kept_together_of(config: TrainConfig) -> dict[str, str]:
    """Return what a group of the data is, where their description says so."""
    kept = load_description(config.data.description).sheet.get("kept_together")
    return {} if kept is None else {"kept_together": kept}


def _examples(test: Evaluated) -> NDArray[np.intp]:
    """Return positions of images over the whole range of probabilities, the lowest first."""
    order = np.argsort(test.probability[:, 0], kind="stable")
    spread = np.linspace(0, len(order) - 1, min(_SHOWN, len(order))).round().astype(np.intp)
    return order[spread]
