"""Measure a finished graph on the test part and write what `evaluation.json` says.

Everything is measured through ONNX Runtime and the serving preprocessing, on what will ship. The
same graph, data and configuration give the same file, so it holds no dates and no machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from datasets.acquisition import ShiftedValidation
from datasets.manifest import Manifest
from models.calibration import Calibration
from models.findings import Decision
from training import metrics
from training.graph_run import GraphRunner
from training.later import later
from training.metrics import Scored
from training.perturbations import changes_of
from training.scenarios import SCENARIOS, apply_scenario

AGE_BANDS = (18, 30, 40, 50, 60, 70, 80)
"""Limits of the bands of age, in years."""


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """How much is measured."""

    bootstrap_repeats: int = 1000
    robustness_images: int = 400
    """Images of the test part that the perturbations are applied to."""
    far_images: int = 50
    """Pictures of each kind of far input."""
    subgroup_fewest: int = later(30)
    """A subgroup of fewer samples, or with fewer than a third of it of either class, is named and
    not measured."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One part of the data with what the model says of it."""

    manifest: Manifest
    """The part's samples."""
    probability: NDArray[np.float64]
    """Calibrated, shape (samples, labels)."""
    calibration: Calibration
    shifted: ShiftedValidation | None = None
    """The acquisition weights of the part's samples, where they were measured."""
    pixels: NDArray[np.uint8] | None = None
    """Their stored images; none of a table."""
    weights: NDArray[np.float64] | None = None
    """How much each sample counts, shape (samples,): 1, or what makes up for censoring."""

    @property
    def truth(self) -> NDArray[np.bool_]:
        """Which label is true, shape (samples, labels)."""
        return np.asarray(self.manifest.targets() == 1)

    def scored(self, at: int = 0, weights: NDArray[np.float64] | None = None) -> Scored:
        """Return the probabilities of the label `at` with the truth."""
        own = np.ones(len(self.manifest)) if self.weights is None else self.weights
        counted = own if weights is None else weights
        return Scored(self.truth[:, at], self.probability[:, at], self.manifest.groups(), counted)


def measure_part(part: Evaluated, config: EvaluationConfig, seed: int) -> dict[str, Any]:
    """Return figures with intervals for the whole part and, of several labels, for each."""
    counts = {"images": len(part.manifest), "patients": len(set(part.manifest.groups()))}
    if len(part.manifest.labels) == 1:
        return counts | _measure_label(part, 0, config, seed)
    truth, probability = part.truth, part.probability
    figures = metrics.bootstrap_groups(
        part.manifest.groups(),
        lambda drawn: metrics.score_classes(truth[drawn], probability[drawn]),
        config.bootstrap_repeats,
        seed,
    )
    labels = {
        label: _measure_label(part, at, config, seed)
        for at, label in enumerate(part.manifest.labels)
    }
    return counts | {"figures": figures, "labels": labels}


def _measure_label(part: Evaluated, at: int, config: EvaluationConfig, seed: int) -> dict[str, Any]:
    """Return figures for one label, its subgroups and its shifted forms."""
    plain = part.scored(at)
    point = part.calibration.labels[at].operating_point

    def with_intervals(scored: Scored) -> dict[str, Any]:
        return metrics.bootstrap(
            scored,
            lambda drawn: metrics.score_all(drawn, point),
            config.bootstrap_repeats,
            seed,
        )

    result: dict[str, Any] = {
        "positives": int(plain.truth.sum()),
        "figures": with_intervals(plain),
        "decision_curve": metrics.decision_curve(plain),
        "subgroups": {},
        "decisions": decisions(part, at, config.bootstrap_repeats, seed),
    }
    if part.shifted is not None:
        swapped = np.flatnonzero(part.shifted.swapped)
        result["shifted"] = {
            "matched weights": with_intervals(part.scored(at, part.shifted.weights)),
            "swapped quarter": {"images": len(swapped)} | with_intervals(plain.take(swapped)),
        }
    for name, indices in subgroups(part.manifest, plain.truth).items():
        counts = {"images": len(indices), "positives": int(plain.truth[indices].sum())}
        fewest = min(counts["positives"], counts["images"] - counts["positives"])
        few = counts["images"] < config.subgroup_fewest or fewest < config.subgroup_fewest / 3
        # Too few samples give an interval that tells nothing, and a figure that tempts.
        told = {"too_few": True} if few else with_intervals(plain.take(indices))
        result["subgroups"][name] = counts | told
    return result


def decisions(part: Evaluated, at: int, repeats: int, seed: int) -> dict[str, Any]:
    """Return how often the model decides and abstains, and what its conformal sets cover.

    `intervals` holds the 95 % interval of each from `repeats` draws of patients.
    """
    calibration, probability = part.calibration.labels[at], part.probability[:, at]
    truth = part.truth[:, at]
    decided = [calibration.decide(p) for p in probability]
    sets = [calibration.conformal_set(p) for p in probability]
    answers = np.where(truth, Decision.PRESENT.value, Decision.ABSENT.value)
    covered = np.array([str(a) in s for a, s in zip(answers, sets, strict=True)])
    certain = np.array([decision is not Decision.INDETERMINATE for decision in decided])
    right = np.array([d.value == a for d, a in zip(decided, answers, strict=True)])

    def shares(drawn: NDArray[np.intp]) -> dict[str, float]:
        true, sure = truth[drawn], certain[drawn]
        return {
            "coverage_of_positives": _share(covered[drawn][true]),
            "coverage_of_negatives": _share(covered[drawn][~true]),
            "indeterminate_share": float(1 - sure.mean()),
            "accuracy_where_decided": _share(right[drawn][sure]),
        }

    found = metrics.bootstrap_groups(part.manifest.groups(), shares, repeats, seed)
    return {
        "operating_point": calibration.operating_point,
        "stated_coverage": calibration.conformal_coverage,
        # JSON has no figure that is not a number: a part may have one class alone.
        **{name: _known(each["value"]) for name, each in found.items()},
        "intervals": {
            name: [each["low"], each["high"]]
            for name, each in found.items()
            if np.isfinite(each["value"])
        },
    }


def measure_robustness(
    part: Evaluated, runner: GraphRunner, config: EvaluationConfig
) -> dict[str, Any]:
    """Return what changes of the image do to the figures, and what is left without the lungs."""
    chosen, pixels = thinned(part, config)
    before = _taken(part, chosen, part.probability[chosen])
    result: dict[str, Any] = {"unchanged": _figures(before)}
    for name, change in changes_of(runner.spec.kind).items():
        outputs = runner.on_images([change(image) for image in pixels])
        after = _taken(part, chosen, part.calibration.probabilities(outputs.logits))
        points = np.array([label.operating_point for label in part.calibration.labels])
        crossed = (after.probability >= points) != (before.probability >= points)
        result[name] = _figures(after) | {
            "mean_probability_change": float(np.abs(after.probability - before.probability).mean()),
            "changed_decisions": float(crossed.any(axis=1).mean()),
        }
    return {"images": len(chosen), "changes": result}


def measure_scenarios(
    part: Evaluated, runner: GraphRunner, config: EvaluationConfig
) -> dict[str, Any]:
    """Return the figures under each acquisition scenario, at the one packaged operating point."""
    chosen, pixels = thinned(part, config)
    positive = np.asarray(part.truth[chosen].any(axis=1))
    result = {}
    for name in SCENARIOS:
        outputs = runner.on_images(apply_scenario(name, pixels, positive))
        probability = part.calibration.probabilities(outputs.logits)
        result[name] = _figures(_taken(part, chosen, probability))
    areas = [figures["auc"] for figures in result.values()]
    return {
        "images": len(chosen),
        "mean_auc": float(np.mean(areas)),
        "lowest_auc": float(min(areas)),
        "scenarios": result,
    }


def _taken(
    part: Evaluated, chosen: NDArray[np.intp], probability: NDArray[np.float64]
) -> Evaluated:
    return Evaluated(part.manifest.subset(chosen), probability, part.calibration)


def _figures(part: Evaluated) -> dict[str, float]:
    """Return the figures without intervals: of the one label, or of the classes together."""
    if len(part.manifest.labels) > 1:
        return metrics.score_classes(part.truth, part.probability)
    return metrics.score_all(part.scored(), part.calibration.labels[0].operating_point)


def thinned(
    part: Evaluated, config: EvaluationConfig
) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
    """Return positions of about `robustness_images` samples, and their images.

    They are evenly spread within each class, so that none is left out, however the index is sorted.
    """
    every = max(1, len(part.manifest) // config.robustness_images)
    by_class = np.lexsort(part.truth.T)
    chosen = np.sort(by_class[::every])
    pixels = part.pixels if part.pixels is not None else np.zeros((len(part.manifest), 0), np.uint8)
    return chosen, pixels[chosen]


def epoch_scores(
    logits: NDArray[np.float32],
    targets: NDArray[np.int8],
    shifted: ShiftedValidation | None,
    exclusive: bool,
) -> dict[str, float]:
    """Return the validation scores that training is steered by.

    `auc` is the mean over the labels. Classes that exclude each other have the `accuracy` of the
    likeliest, and `loss_gain`, the cross-entropy below that of guessing, which still tells networks
    apart where hardly one image is called wrongly. `shifted_*` are there where the acquisition was
    measured.
    """
    columns = range(targets.shape[1])
    areas = [metrics.auc(targets[:, at] == 1, logits[:, at].astype(np.float64)) for at in columns]
    scores = {"auc": float(np.mean(areas))}
    if exclusive:
        likeliest = logits.argmax(axis=1)
        scores["accuracy"] = float((targets[np.arange(len(targets)), likeliest] == 1).mean())
        told = special.log_softmax(logits.astype(np.float64), axis=1)[targets == 1]
        scores["loss_gain"] = float(np.log(len(columns)) + told.mean())
    if shifted is not None:
        scores |= _shifted_scores(logits, np.asarray(targets.any(axis=1)), shifted)
    return scores


def _shifted_scores(
    logits: NDArray[np.float32], truth: NDArray[np.bool_], shifted: ShiftedValidation
) -> dict[str, float]:
    """Return the scores of the first label under the shifted validation.

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
        for name in ("auc", "accuracy") if "shifted" in test else ():
            flat[f"test_{short}_{name}"] = test["shifted"][shift][name]["value"]
    return flat


def subgroups(manifest: Manifest, truth: NDArray[np.bool_]) -> dict[str, NDArray[np.intp]]:
    """Return the positions of each subgroup, by name.

    Each subtype that has the finding is taken with all samples that do not; sites, sexes and bands
    of age are taken as they are. What the whole part is alike in makes no subgroup.
    """
    subtypes = manifest.subtypes()
    found = {}
    names = sorted(set(subtypes[truth].tolist()))
    for name in names if len(names) > 1 else ():
        found[name] = np.flatnonzero((subtypes == name) | ~truth)
    bands = np.array([_band(age) for age in manifest.ages_years()])
    for values in (manifest.sites(), manifest.sexes(), bands):
        known = sorted(set(values.tolist()) - {""})
        for value in known if len(known) > 1 else ():
            found[str(value)] = np.flatnonzero(values == value)
    return found


def _band(age_years: float) -> str:
    if not np.isfinite(age_years):
        return ""
    at = int(np.searchsorted(AGE_BANDS, age_years, side="right"))
    if at == len(AGE_BANDS):
        return f"{AGE_BANDS[-1]} years and over"
    return (
        f"under {AGE_BANDS[0]} years" if at == 0 else f"{AGE_BANDS[at - 1]}-{AGE_BANDS[at]} years"
    )


def _share(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
