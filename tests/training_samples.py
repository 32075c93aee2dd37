"""A training small enough for a test, on made-up radiographs."""

from dataclasses import replace
from pathlib import Path

from models.preprocessing import InputSpec
from tests.kermany_samples import SIDE_PX
from training.calibrating import CalibrationConfig
from training.config import DataConfig, TrainConfig, load_config
from training.evaluation import EvaluationConfig
from training.export import ExportConfig
from training.loop import OptimisationConfig, SelectionConfig
from training.quantisation import QuantisationConfig
from training.reference_fit import ReferenceConfig
from training.released_graph import GraphConfig
from training.sampling import SamplingConfig
from training.study_data import StudyData, read_study_data

NAME = "tiny-chest"


def tiny_config(epochs: int = 2) -> TrainConfig:
    """Every step of a training, each as small as it can be."""
    return replace(
        load_config("chest-xray-pneumonia-quick"),
        name=NAME,
        version="0.0.1",
        input=InputSpec(SIDE_PX),
        data=DataConfig(cache_side_px=SIDE_PX),
        sampling=SamplingConfig(images_per_epoch=64, batch_images=16),
        optimisation=OptimisationConfig(
            epochs=epochs, learning_rate=5e-4, ema_decay=0.7, threads=1
        ),
        selection=SelectionConfig(),
        graph=GraphConfig(mirror_average=True, embedding_blocks=(4,)),
        calibration=CalibrationConfig(conformal_coverage=0.8, scenario_weight=0.5),
        reference=ReferenceConfig(components=4, training_images=40, augmented_copies=1),
        export=ExportConfig(parity_images=6),
        quantisation=QuantisationConfig(
            calibration_images=16, auc_loss=1, accuracy_loss=1, refusal_change=1
        ),
        evaluation=EvaluationConfig(bootstrap_repeats=20, robustness_images=10, far_images=2),
    )


def tiny_study(config: TrainConfig, folder: Path) -> StudyData:
    """The data written by `write_kermany` to `folder`, decoded into a cache beside them."""
    return read_study_data(config, folder, folder / "cache")


class Quiet:
    """Watches a training without a word, and remembers what it was told."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.steps = 0
        self.epochs: list[tuple[int, int]] = []

    def stage(self, text: str) -> None:
        """Remember the stage."""
        self.stages.append(text)

    def step(self, done: int, total: int) -> None:
        """Count the step."""
        assert 0 < done <= total
        self.steps += 1

    def epoch(self, member: int, epoch: int, scores: dict[str, float]) -> None:
        """Remember the epoch."""
        assert scores
        self.epochs.append((member, epoch))
