"""A training that is killed goes on where it was, to the same weights."""

import math
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.errors import DataError
from tests.kermany_samples import write_kermany
from tests.training_samples import Quiet, tiny_config, tiny_study
from training.config import TrainConfig
from training.loop import LoopConfig, Progress, SelectionConfig, weights_digest
from training.members import train_members
from training.study_data import StudyData

ROOT = Path(__file__).resolve().parents[3]
CONFIG = tiny_config(epochs=2)

KILLED = """
import os, signal, sys
from pathlib import Path
from tests.training_samples import Quiet, tiny_config, tiny_study
from training.members import train_members

class KilledInTheSecondEpoch(Quiet):
    def step(self, done, total):
        if self.epochs:
            os.kill(os.getpid(), signal.SIGKILL)

data, folder = map(Path, sys.argv[1:])
config = tiny_config(epochs=2)
train_members(config, tiny_study(config, data), folder, KilledInTheSecondEpoch())
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_kermany(tmp_path_factory.mktemp("data"), patients=36)


@pytest.fixture(scope="module")
def study(data: Path) -> StudyData:
    return tiny_study(CONFIG, data)


def trained(
    config: TrainConfig, study: StudyData, folder: Path
) -> tuple[str, list[dict[str, float]], Quiet]:
    watch = Quiet()
    graph, scores = train_members(config, study, folder, watch)
    return weights_digest(graph), scores[0], watch


@pytest.fixture(scope="module")
def uninterrupted(
    study: StudyData, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, list[dict[str, float]]]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    digest, scores, _ = trained(CONFIG, study, folder)
    return folder, digest, scores


def test_killed_training_ends_in_the_same_weights(
    data: Path,
    study: StudyData,
    uninterrupted: tuple[Path, str, list[dict[str, float]]],
    tmp_path: Path,
) -> None:
    arguments = [sys.executable, "-c", KILLED, str(data), str(tmp_path)]
    killed = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["member-0.pt"]
    digest, scores, watch = trained(CONFIG, study, tmp_path)
    # The first epoch is told again, the second trained.
    assert watch.epochs == [(0, 0), (0, 1)]
    assert watch.steps == CONFIG.sampling.steps_per_epoch
    assert scores == uninterrupted[2]
    assert digest == uninterrupted[1]


def test_finished_training_is_not_trained_again(
    study: StudyData, uninterrupted: tuple[Path, str, list[dict[str, float]]]
) -> None:
    digest, _, watch = trained(CONFIG, study, uninterrupted[0])
    assert watch.steps == 0
    assert watch.epochs == [(0, 0), (0, 1)]
    assert digest == uninterrupted[1]


def test_training_learns(uninterrupted: tuple[Path, str, list[dict[str, float]]]) -> None:
    first, second = uninterrupted[2]
    assert second["training_loss"] < first["training_loss"] < math.log(2) + 0.1
    assert second["auc"] > 0.7


def test_checkpoint_holds_tensors_and_plain_values_alone(
    uninterrupted: tuple[Path, str, list[dict[str, float]]],
) -> None:
    state = torch.load(uninterrupted[0] / "member-0.pt", weights_only=True)
    assert set(state) == {"network", "averaged", "best", "optimiser", "progress"}


def test_seed_decides_the_weights(study: StudyData, tmp_path: Path) -> None:
    short = replace(
        CONFIG,
        sampling=replace(CONFIG.sampling, images_per_epoch=32),
        optimisation=replace(CONFIG.optimisation, epochs=1),
    )
    seeds = {"first": CONFIG.seed, "again": CONFIG.seed, "other": CONFIG.seed + 1}
    digest = {
        name: trained(replace(short, seed=seed), study, tmp_path / name)[0]
        for name, seed in seeds.items()
    }
    assert digest["first"] == digest["again"] != digest["other"]


def test_unknown_criterion_names_the_known_ones(study: StudyData, tmp_path: Path) -> None:
    small = replace(CONFIG.sampling, images_per_epoch=16)
    config = replace(CONFIG, sampling=small, selection=SelectionConfig(criterion="beauty"))
    with pytest.raises(DataError, match=r"'beauty'; expected one of .*shifted_auc"):
        train_members(config, study, tmp_path, Quiet())


@pytest.mark.parametrize(
    ("scores", "patience", "finished"),
    [
        ([], 0, False),
        ([0.5], 0, False),
        ([0.5, 0.6], 0, True),
        ([0.9], 1, False),
    ],
)
def test_training_ends_after_its_epochs(scores: list[float], patience: int, finished: bool) -> None:
    assert progress(scores).finished(loop(epochs=2, patience=patience)) is finished


@pytest.mark.parametrize(
    ("scores", "patience", "finished"),
    [
        ([0.9, 0.8], 1, True),
        ([0.9, 0.8], 2, False),
        ([0.9, 0.8, 0.7], 2, True),
        ([0.7, 0.8, 0.9], 1, False),
        ([0.9, 0.8, 0.95, 0.9], 2, False),
        ([0.9, 0.1, 0.1, 0.1], 0, False),
    ],
)
def test_patience_ends_training_early(scores: list[float], patience: int, finished: bool) -> None:
    assert progress(scores).finished(loop(epochs=99, patience=patience)) is finished


def loop(epochs: int, patience: int) -> LoopConfig:
    selection = SelectionConfig(patience=patience)
    return replace(tiny_config(epochs), selection=selection).loop


def progress(scores: list[float]) -> Progress:
    best = max(range(len(scores)), key=scores.__getitem__, default=-1)
    return Progress([{"auc": score} for score in scores], best, max(scores, default=-math.inf))
