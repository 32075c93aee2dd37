"""Train the members of a model, each from its own seed, and put them together."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training import metrics
from training.config import TrainConfig
from training.evaluation import epoch_scores
from training.loop import MemberTraining, Predict, Watch
from training.lung_batches import LungBatches
from training.released_graph import ReleasedGraph
from training.sampling import BalancedSampler
from training.scenarios import SCENARIOS, apply_scenario
from training.study_data import StudyData
from training.teacher import Taught, looked_at, teach
from training.team import ALONE, Team
from training.training_images import TrainingImages

MemberScores = list[dict[str, float]]
"""The validation scores of each epoch of one member."""


def train_members(
    config: TrainConfig, study: StudyData, folder: Path, watch: Watch, team: Team = ALONE
) -> tuple[ReleasedGraph, list[MemberScores]]:
    """Train what is not trained yet and return the graph to release with every member's scores.

    `folder` holds a checkpoint for each member, which is also how a finished one is known; of a
    `team`, all need it.
    """
    networks, scores = [], []
    looks = looked_at(config.teacher, study.pixels, config.input) if config.teacher.share else None
    for member in range(config.members.count):
        images = _training_images(config, study, study.learnt_by(member), looks)
        judge = EpochJudge(config, study, study.held_from(member))
        training = MemberTraining(config.loop, member, len(study.manifest.labels), team)
        checkpoint = folder / f"member-{member}.pt"
        networks.append(training.run(images, judge, checkpoint, watch))
        scores.append(training.progress.scores)
    return ReleasedGraph(networks, config.graph, told_apart=config.members.cross_fitted), scores


class EpochJudge:
    """Scores a network on samples held from it, plain, shifted and under the scenarios."""

    def __init__(self, config: TrainConfig, study: StudyData, chosen: NDArray[np.intp]) -> None:
        self._pixels: NDArray[np.uint8] = np.asarray(study.pixels[chosen])
        self._targets = study.manifest.targets()[chosen]
        self._exclusive = study.manifest.exclusive
        self._shifted = study.shifted(chosen)
        truth = study.positive[chosen]
        few = _some_of_each(truth, config.selection.scenario_images)
        self._scenario_truth = truth[few]
        names = SCENARIOS if len(few) else ()
        self._scenarios = {
            name: apply_scenario(name, self._pixels[few], self._scenario_truth) for name in names
        }

    def __call__(self, predict: Predict) -> dict[str, float]:
        """Return the scores by name; `scenario_*` only where scenarios are configured."""
        scores = epoch_scores(predict(self._pixels), self._targets, self._shifted, self._exclusive)
        areas = [
            metrics.auc(self._scenario_truth, predict(changed)[:, 0].astype(np.float64))
            for changed in self._scenarios.values()
        ]
        if areas:
            scores |= {"scenario_auc": float(np.mean(areas)), "scenario_lowest_auc": min(areas)}
        return scores


def _some_of_each(truth: NDArray[np.bool_], images: int) -> NDArray[np.intp]:
    """Return the positions of up to `images` samples, the first of both classes alike."""
    half = images // 2
    return np.concatenate([np.flatnonzero(truth)[:half], np.flatnonzero(~truth)[:half]])


def _training_images(
    config: TrainConfig,
    study: StudyData,
    chosen: NDArray[np.intp],
    looks: NDArray[np.float32] | None,
) -> TrainingImages:
    targets = study.manifest.targets()
    if study.manifest.exclusive:
        sampler = BalancedSampler.of_classes(config.sampling, targets[chosen])
    else:
        sampler = BalancedSampler.of_findings(
            config.sampling, study.positive[chosen], study.propensity[chosen]
        )
    return TrainingImages(
        study.pixels,
        targets,
        chosen,
        sampler,
        _kept_to_lungs(config, study, chosen),
        _taught(config, study, chosen, looks),
    )


def _taught(
    config: TrainConfig,
    study: StudyData,
    chosen: NDArray[np.intp],
    looks: NDArray[np.float32] | None,
) -> Taught | None:
    if looks is None:
        return None
    return teach(
        config.teacher,
        looks,
        study.manifest.targets(),
        study.manifest.groups(),
        chosen,
        exclusive=study.manifest.exclusive,
    )


def _kept_to_lungs(
    config: TrainConfig, study: StudyData, chosen: NDArray[np.intp]
) -> LungBatches | None:
    if study.lungs is None:
        return None
    positive = study.positive[chosen]
    return LungBatches(config.lungs, study.pixels, study.lungs, chosen[positive], chosen[~positive])
