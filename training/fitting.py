"""Fit calibration and reference of a finished graph on the parts they belong to."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.splits import Part
from models.calibration import Calibration
from models.reference import Reference
from training.batches import PrepareAugmented, level_batch
from training.calibrating import fit, fit_classes, fit_weights
from training.config import TrainConfig
from training.graph_run import GraphRunner, Outputs
from training.reference_fit import fit_reference
from training.scenarios import SCENARIOS, apply_scenario
from training.study_data import StudyData

_BATCH = 64


@dataclass(frozen=True, slots=True)
class CalibrationImages:
    """Logits that the calibration is fitted to, with what is true of them and their weight."""

    logits: NDArray[np.float64]
    """Shape (n, labels)."""
    truth: NDArray[np.bool_]
    """Shape (n, labels)."""
    weights: NDArray[np.float64]
    """How much each counts for each label, shape (n, labels)."""


def calibrate(
    config: TrainConfig, study: StudyData, runner: GraphRunner, validation: Outputs
) -> Calibration:
    """Fit the calibration of all labels on what stands for the validation part.

    Args:
        config: how.
        study: the data.
        runner: the graph, for changed copies of the images.
        validation: the graph's outputs for the images as they are.
    """
    images = calibration_images(config, study, runner, validation)
    if study.manifest.exclusive:
        return fit_classes(images.logits, images.truth, images.weights[:, 0], config.calibration)
    return Calibration(
        tuple(
            fit(
                images.logits[:, at],
                images.truth[:, at],
                images.weights[:, at],
                config.calibration,
            )
            for at in range(images.logits.shape[1])
        )
    )


def calibration_images(
    config: TrainConfig, study: StudyData, runner: GraphRunner, validation: Outputs
) -> CalibrationImages:
    """Return the validation part, and its changed copies where `config` asks for them."""
    chosen = study.judged(Part.VALIDATION)
    pixels, positive = np.asarray(study.pixels[chosen]), study.positive[chosen]
    truth = study.manifest.targets()[chosen] == 1
    weights = _weights(config, study, truth)
    logits, shares = [validation.logits], [1.0]
    for copy in range(config.calibration.augmented_copies):
        changed = augmented_inputs(config, pixels, positive, copy)
        logits.append(held_out(study, runner.on_inputs(changed)).logits)
        shares.append(1.0)
    if config.calibration.scenario_weight > 0:
        for name in SCENARIOS:
            outputs = runner.on_images(apply_scenario(name, pixels, positive))
            logits.append(held_out(study, outputs).logits)
            shares.append(config.calibration.scenario_weight)
    return CalibrationImages(
        np.concatenate(logits).astype(np.float64),
        np.tile(truth, (len(logits), 1)),
        np.concatenate([weights * share / sum(shares) for share in shares]),
    )


def _weights(
    config: TrainConfig, study: StudyData, truth: NDArray[np.bool_]
) -> NDArray[np.float64]:
    if study.manifest.exclusive:
        return np.ones(truth.shape)
    shifted = study.shifted(study.judged(Part.VALIDATION))
    matched = np.ones(len(truth)) if shifted is None else shifted.weights
    return np.stack([fit_weights(column, matched, config.calibration) for column in truth.T], 1)


def make_reference(
    config: TrainConfig, study: StudyData, runner: GraphRunner, validation: Outputs
) -> Reference:
    """Fit the reference to training images, its threshold to the validation part.

    The first member embeds, which has not learnt from the validation part.
    """
    training = study.indices(Part.TRAINING)
    every = max(1, len(training) // config.reference.training_images)
    chosen = training[::every]
    pixels, positive = np.asarray(study.pixels[chosen]), study.positive[chosen]
    embeddings = [runner.on_images(pixels).embedding]
    for copy in range(config.reference.augmented_copies):
        changed = augmented_inputs(config, pixels, positive, copy)
        embeddings.append(runner.on_inputs(changed).embedding)
    unseen = np.isin(study.judged(Part.VALIDATION), study.indices(Part.VALIDATION))
    return fit_reference(np.concatenate(embeddings), validation.embedding[unseen], config.reference)


def held_out(study: StudyData, outputs: Outputs) -> Outputs:
    """Return outputs for what stands for the validation part, from members that it is new to."""
    if study.folds is None:
        return outputs
    return outputs.held_out(study.folds[study.judged(Part.VALIDATION)])


def augmented_inputs(
    config: TrainConfig, pixels: NDArray[np.uint8], positive: NDArray[np.bool_], copy: int
) -> NDArray[np.float32]:
    """Return one augmented copy of `pixels`, ready for the graph; the same for the same `copy`."""
    augment = config.loop.augmenting()
    augment.set_random_state(config.seed + 1 + copy)
    standardise = PrepareAugmented(config.input)
    batches = [
        standardise(augment(level_batch(pixels[at : at + _BATCH]), positive[at : at + _BATCH]))
        for at in range(0, len(pixels), _BATCH)
    ]
    inputs: NDArray[np.float32] = torch.cat(batches).numpy()
    return inputs
