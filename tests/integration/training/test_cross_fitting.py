"""Cross-fitted members: together they learn from all, each is judged on its own fold."""

from dataclasses import replace

import numpy as np
import pytest

from datasets.splits import Part
from tests.kermany_samples import write_kermany
from tests.training_samples import Quiet, tiny_config, tiny_study
from training.config import MembersConfig, TrainConfig
from training.fitting import make_reference
from training.graph_run import GraphRunner
from training.graphs import export_graph, judged_outputs
from training.loop import SelectionConfig, predict
from training.members import train_members
from training.released_graph import GraphConfig, ReleasedGraph
from training.study_data import StudyData

MEMBERS = 2


def _config() -> TrainConfig:
    tiny = tiny_config(epochs=1)
    return replace(
        tiny,
        members=MembersConfig(MEMBERS, cross_fitted=True),
        selection=SelectionConfig(keep="last"),
        # bfloat16 is emulated on many processors.
        optimisation=replace(tiny.optimisation, precision="float32"),
        sampling=replace(tiny.sampling, images_per_epoch=32),
        graph=GraphConfig(embedding_blocks=(4,)),
        calibration=replace(tiny.calibration, scenario_weight=0.0),
    )


CONFIG = _config()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return tiny_study(CONFIG, write_kermany(tmp_path_factory.mktemp("data"), patients=36))


@pytest.fixture(scope="module")
def made(
    study: StudyData, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ReleasedGraph, GraphRunner]:
    folder = tmp_path_factory.mktemp("run")
    graph, _ = train_members(CONFIG, study, folder, Quiet())
    export_graph(CONFIG, study, graph, folder / "model.onnx")
    return graph, GraphRunner(folder / "model.onnx", CONFIG.input, 1)


def test_each_sample_is_new_to_one_member_and_the_test_part_to_all(study: StudyData) -> None:
    test = set(study.indices(Part.TEST))
    everything = set(study.judged(Part.VALIDATION))
    assert everything == set(range(len(study.manifest))) - test
    for member in range(MEMBERS):
        learnt, held = set(study.learnt_by(member)), set(study.held_from(member))
        assert learnt | held == everything
        assert not learnt & held
        groups = study.manifest.groups()
        assert not set(groups[list(learnt)]) & set(groups[list(held)])
    assert set(study.held_from(0)) == set(study.indices(Part.VALIDATION))


def test_sample_is_judged_by_the_member_that_has_not_learnt_from_it(
    study: StudyData, made: tuple[ReleasedGraph, GraphRunner]
) -> None:
    graph, runner = made
    judged = study.judged(Part.VALIDATION)
    found = judged_outputs(study, runner, Part.VALIDATION).logits
    assert len(found) == len(judged)
    for member in range(MEMBERS):
        held = study.held_from(member)
        network = graph.members[member]
        expected = predict(network, CONFIG.loop, study.pixels[held])  # type: ignore[arg-type]
        np.testing.assert_allclose(found[np.isin(judged, held)], expected, atol=1e-3)


def test_graph_answers_with_the_mean_of_all(
    study: StudyData, made: tuple[ReleasedGraph, GraphRunner]
) -> None:
    outputs = judged_outputs(study, made[1], Part.TEST)
    assert outputs.member_logits is not None
    np.testing.assert_allclose(outputs.logits, outputs.member_logits.mean(1), atol=1e-4)
    assert np.abs(np.diff(outputs.member_logits, axis=1)).max() > 1e-3


def test_threshold_is_of_what_is_new_to_the_member_that_embeds(
    study: StudyData, made: tuple[ReleasedGraph, GraphRunner]
) -> None:
    validation = judged_outputs(study, made[1], Part.VALIDATION)
    config = replace(CONFIG, reference=replace(CONFIG.reference, augmented_copies=0))
    reference = make_reference(config, study, made[1], validation)
    new = np.isin(study.judged(Part.VALIDATION), study.held_from(0))
    quantile = np.quantile(reference.score(validation.embedding[new]), 0.995)
    assert quantile == pytest.approx(1.0, abs=1e-5)
