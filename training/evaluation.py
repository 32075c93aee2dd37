"""Measure a finished graph on the test part and write what `evaluation.json` says.

Everything is measured through ONNX Runtime and the serving preprocessing, on what will ship. The
same graph, data and configuration give the same file, so it holds no dates and no machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.acquisition import ShiftedValidation
from datasets.manifest import Manifest
from models.calibration import LabelCalibration
from models.findings import Decision
from training import metrics
from training.graph_run import GraphRunner
from training.metrics import Scored
from training.perturbations import ROBUSTNESS, SHORTCUTS
from training.scenarios import SCENARIOS, apply_scenario


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """How much is measured."""

    bootstrap_repeats: int = 1000
    robustness_images: int = 400
    """Images of the test part that the perturbations are applied to."""
    far_images: int = 50
    """Pictures of each kind of far input."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One part of the data with what the graph says of it, for the first label."""

    manifest: Manifest
    """The part's samples."""
    pixels: NDArray[np.uint8]
    """Their stored images."""
    logits: NDArray[np.float64]
    """Shape (samples,)."""
    shifted: ShiftedValidation
    """The acquisition weights of the part's samples."""
    calibration: LabelCalibration

    @property
    def probability(self) -> NDArray[np.float64]:
        """Calibrated, shape (samples,)."""
        return probabilities(self.logits, self.calibration)

    def scored(self, weights: NDArray[np.float64] | None = None) -> Scored:
        """Return the probabilities with the truth, every image counting once by default."""
        truth = self.manifest.targets()[:, 0].astype(np.bool_)
        counted = np.ones(len(truth)) if weights is None else weights
        return Scored(truth, self.probability, self.manifest.groups(), counted)


def probabilities(
    logits: NDArray[np.floating[Any]], calibration: LabelCalibration
) -> NDArray[np.float64]:
    """Return the calibrated probability of each logit, by serving's own arithmetic."""
    return np.array([calibration.probability(float(logit)) for logit in logits])


def measure_part(part: Evaluated, config: EvaluationConfig, seed: int) -> dict[str, Any]:
    """Return figures with intervals for the whole part, its subgroups and its shifted forms."""
    point = part.calibration.operating_point

    def with_intervals(scored: Scored) -> dict[str, dict[str, float]]:
        def figures(drawn: Scored) -> dict[str, float]:
            return metrics.score_all(drawn, point)

        return metrics.bootstrap(scored, figures, config.bootstrap_repeats, seed)

    plain = part.scored()
    swapped = np.flatnonzero(part.shifted.swapped)
    result: dict[str, Any] = {
        "images": len(part.manifest),
        "patients": len(set(part.manifest.groups())),
        "positives": int(plain.truth.sum()),
        "figures": with_intervals(plain),
        "shifted": {
            "matched weights": with_intervals(part.scored(part.shifted.weights)),
            "swapped quarter": {"images": len(swapped)} | with_intervals(plain.take(swapped)),
        },
        "subgroups": {},
        "decisions": decisions(part),
    }
    for subtype, indices in _subgroups(part.manifest).items():
        result["subgroups"][subtype] = {
            "images": len(indices),
            **with_intervals(plain.take(indices)),
        }
    return result


def decisions(part: Evaluated) -> dict[str, Any]:
    """Return how often the model decides and abstains, and what its conformal sets cover."""
    calibration, probability = part.calibration, part.probability
    truth = part.scored().truth
    decided = [calibration.decide(p) for p in probability]
    sets = [calibration.conformal_set(p) for p in probability]
    answers = np.where(truth, Decision.PRESENT.value, Decision.ABSENT.value)
    covered = np.array([str(a) in s for a, s in zip(answers, sets, strict=True)])
    certain = np.array([decision is not Decision.INDETERMINATE for decision in decided])
    right = np.array([d.value == a for d, a in zip(decided, answers, strict=True)])
    return {
        "operating_point": calibration.operating_point,
        "stated_coverage": calibration.conformal_coverage,
        "coverage_of_positives": _mean(covered[truth]),
        "coverage_of_negatives": _mean(covered[~truth]),
        "indeterminate_share": float(1 - certain.mean()),
        "accuracy_where_decided": _mean(right[certain]),
    }


def measure_robustness(
    part: Evaluated, runner: GraphRunner, config: EvaluationConfig
) -> dict[str, Any]:
    """Return what changes of the image do to the figures, and what is left without the lungs."""
    chosen = _thinned(part, config)
    before = part.scored().take(chosen)
    point = part.calibration.operating_point
    result: dict[str, Any] = {"unchanged": metrics.score_all(before, point)}
    for name, change in {**ROBUSTNESS, **SHORTCUTS}.items():
        logits = runner.on_images([change(part.pixels[i]) for i in chosen]).logits[:, 0]
        changed = probabilities(logits, part.calibration)
        after = Scored(before.truth, changed, before.groups, before.weights)
        result[name] = metrics.score_all(after, point) | {
            "mean_probability_change": float(np.abs(changed - before.probability).mean()),
            "changed_decisions": float(
                ((changed >= point) != (before.probability >= point)).mean()
            ),
        }
    return {"images": len(chosen), "changes": result}


def measure_scenarios(
    part: Evaluated, runner: GraphRunner, config: EvaluationConfig
) -> dict[str, Any]:
    """Return the figures under each acquisition scenario, at the one packaged operating point."""
    chosen = _thinned(part, config)
    before = part.scored().take(chosen)
    point = part.calibration.operating_point
    result = {}
    for name in SCENARIOS:
        changed = apply_scenario(name, part.pixels[chosen], before.truth)
        probability = probabilities(runner.on_images(changed).logits[:, 0], part.calibration)
        after = Scored(before.truth, probability, before.groups, before.weights)
        result[name] = metrics.score_all(after, point)
    areas = [figures["auc"] for figures in result.values()]
    return {
        "images": len(chosen),
        "mean_auc": float(np.mean(areas)),
        "lowest_auc": float(min(areas)),
        "scenarios": result,
    }


def _thinned(part: Evaluated, config: EvaluationConfig) -> NDArray[np.intp]:
    """Return evenly spread positions of about `robustness_images` samples."""
    every = max(1, len(part.manifest) // config.robustness_images)
    return np.arange(0, len(part.manifest), every)


def epoch_scores(
    logits: NDArray[np.float32], truth: NDArray[np.bool_], shifted: ShiftedValidation
) -> dict[str, float]:
    """Return the validation scores that training is steered by, for the first label.

    `shifted_auc` is the mean of the matched and the swapped one: the first uses all images, the
    second those that matter most.
    """
    score = logits[:, 0].astype(np.float64)
    chosen = shifted.swapped
    matched = metrics.auc(truth, score, shifted.weights)
    swapped = metrics.auc(truth[chosen], score[chosen])
    called = score >= 0
    ones = np.ones(int(chosen.sum()))
    return {
        "auc": metrics.auc(truth, score),
        "matched_auc": matched,
        "swapped_auc": swapped,
        "shifted_auc": (matched + swapped) / 2,
        "swapped_accuracy": metrics.accuracy(truth[chosen], called[chosen], ones),
        "swapped_sensitivity": metrics.sensitivity(truth[chosen], called[chosen], ones),
        "swapped_specificity": metrics.specificity(truth[chosen], called[chosen], ones),
    }


def headline(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of an evaluation that a run is compared by, flat."""
    test = evaluation["test"]
    flat = {f"test_{name}": entry["value"] for name, entry in test["figures"].items()}
    for shift, short in (("matched weights", "matched"), ("swapped quarter", "swapped")):
        for name in ("auc", "accuracy"):
            flat[f"test_{short}_{name}"] = test["shifted"][shift][name]["value"]
    return flat


def _subgroups(manifest: Manifest) -> dict[str, NDArray[np.intp]]:
    """Return each subtype that has a finding, together with all images that have none."""
    subtypes, truth = manifest.subtypes(), manifest.targets()[:, 0].astype(np.bool_)
    names = sorted(set(subtypes[truth].tolist()))
    return {name: np.flatnonzero((subtypes == name) | ~truth) for name in names}


def _mean(values: NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if len(values) else None
