"""A network learns what its teacher says, and the teacher is asked where the configuration says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datasets.splits import Part
from models.errors import DataError
from tests.kermany_samples import write_kermany
from tests.training_samples import Quiet, tiny_config, tiny_study
from training import metrics
from training.config import TrainConfig
from training.loop import MemberTraining, predict, weights_digest
from training.lungs import LungConfig
from training.members import train_members
from training.sampling import BalancedSampler
from training.study_data import StudyData
from training.teacher import Taught, TeacherConfig
from training.training_images import TrainingImages


def _config() -> TrainConfig:
    tiny = tiny_config(epochs=1)
    return replace(
        tiny,
        # bfloat16 is emulated on many processors.
        optimisation=replace(tiny.optimisation, precision="float32"),
        sampling=replace(tiny.sampling, images_per_epoch=96),
        teacher=TeacherConfig(share=1.0, side_px=64, folds=3),
    )


CONFIG = _config()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return tiny_study(CONFIG, write_kermany(tmp_path_factory.mktemp("data"), patients=36))


def test_network_believes_a_teacher_who_says_the_contrary(study: StudyData, tmp_path: Path) -> None:
    chosen = study.indices(Part.TRAINING)
    targets = study.manifest.targets()
    sampler = BalancedSampler.of_findings(
        CONFIG.sampling, study.positive[chosen], study.propensity[chosen]
    )
    areas = []
    for share in (0.0, 1.0):
        contrary = Taught(share, (1 - targets).astype(np.float32))
        images = TrainingImages(study.pixels, targets, chosen, sampler, None, contrary)
        training = MemberTraining(CONFIG.loop, 0, 1)
        network = training.run(
            images, lambda _: {"shifted_auc": 0.0}, tmp_path / f"{share:g}.pt", Quiet()
        )
        logits = predict(network, CONFIG.loop, study.pixels[chosen])[:, 0]
        areas.append(metrics.auc(study.positive[chosen], logits.astype(np.float64)))
    assert areas[0] > 0.6
    assert areas[1] < 0.4


def test_teacher_is_asked_where_the_configuration_says_so(study: StudyData, tmp_path: Path) -> None:
    without = replace(CONFIG, teacher=TeacherConfig())
    digests = []
    for name, config in (("with", CONFIG), ("again", CONFIG), ("without", without)):
        graph, _ = train_members(config, study, tmp_path / name, Quiet())
        digests.append(weights_digest(graph))
    assert digests[0] == digests[1] != digests[2]


def test_teacher_of_a_network_that_is_kept_to_the_lungs_is_refused() -> None:
    config = replace(CONFIG, lungs=LungConfig(field=True))
    with pytest.raises(DataError, match=r"teacher\.share is 1; expected 0, for lungs\.field"):
        _ = config.loop
