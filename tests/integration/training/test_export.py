"""The gates between a trained network and its graphs: parity, and the accuracy of INT8."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from models.calibration import Calibration, LabelCalibration
from models.preprocessing import InputSpec, prepare
from models.reference import Reference
from tests.kermany_samples import made_up_radiograph
from training.export import ExportConfig, ExportRefusedError, check_parity, write_onnx
from training.graph_run import GraphRunner, Outputs
from training.networks import pretrained
from training.quantisation import QuantisationConfig, judge, quantise
from training.released_graph import OUTPUTS, GraphConfig, ReleasedGraph

SIDE = 64
SPEC = InputSpec(SIDE)
PICTURES = np.stack([made_up_radiograph(seed, seed % 2 == 1) for seed in range(10)])
INPUTS = np.stack([prepare(picture, SPEC) for picture in PICTURES])
CONFIG = GraphConfig(mirror_average=True, embedding_blocks=(4,))


def released() -> ReleasedGraph:
    network = pretrained(1, 0.0, 0.0)
    torch.manual_seed(0)
    nn.init.normal_(network.classify.weight, std=0.05)
    nn.init.normal_(network.classify.bias)
    return ReleasedGraph([network], CONFIG).eval()


@pytest.fixture(scope="module")
def graph() -> ReleasedGraph:
    return released()


@pytest.fixture(scope="module")
def exported(graph: ReleasedGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    write_onnx(graph, (1, SIDE), path)
    return path


def test_exported_graph_agrees_and_is_kept(graph: ReleasedGraph, exported: Path) -> None:
    parity = check_parity(graph, exported, INPUTS, ExportConfig())
    assert parity.images == len(INPUTS)
    assert 0 < parity.logits < 1e-3
    assert 0 < parity.activation_map < 1e-2
    assert 0 < parity.embedding < 1e-3
    assert exported.is_file()


def test_exported_graph_is_one_file_with_the_outputs_of_the_contract(exported: Path) -> None:
    model = onnx.load(str(exported), load_external_data=False)
    assert [output.name for output in model.graph.output] == list(OUTPUTS)
    assert [path.name for path in exported.parent.iterdir()] == ["model.onnx"]
    batch = model.graph.input[0].type.tensor_type.shape.dim[0]
    assert batch.dim_param


@pytest.mark.parametrize("count", [1, 2, 7])
def test_exported_graph_takes_any_batch(exported: Path, count: int) -> None:
    runner = GraphRunner(exported, SPEC, threads=1)
    together = runner.on_images(PICTURES)
    some = runner.on_images(PICTURES[:count])
    for name in OUTPUTS:
        found, expected = getattr(some, name), getattr(together, name)[:count]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def wrong_weight(graph: ReleasedGraph) -> str:
    graph.members[0].get_parameter("classify.weight").data += 0.05
    return "logits"


def wrong_bias(graph: ReleasedGraph) -> str:
    graph.members[0].get_parameter("classify.bias").data += 0.002
    return "logits"


def wrong_texture(graph: ReleasedGraph) -> str:
    layer = graph.members[0].get_submodule("backbone.blocks.4.project")
    layer.get_parameter("bias").data += 0.01
    return "(logits|embedding)"


def not_a_number(graph: ReleasedGraph) -> str:
    graph.members[0].get_parameter("classify.bias").data.fill_(float("nan"))
    return "logits"


@pytest.mark.parametrize("spoil", [wrong_weight, wrong_bias, wrong_texture, not_a_number])
def test_graph_that_answers_otherwise_is_refused_and_removed(
    exported: Path, tmp_path: Path, spoil: Callable[[ReleasedGraph], str]
) -> None:
    path = Path(shutil.copy(exported, tmp_path))
    other = released()
    named = spoil(other)
    with pytest.raises(ExportRefusedError, match=f"^{named} of the exported graph differs by"):
        check_parity(other, path, INPUTS, ExportConfig())
    assert not path.exists()


def test_graph_with_another_embedding_is_refused(exported: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(exported, tmp_path))
    other = released()
    other.config = replace(CONFIG, embedding_blocks=())
    with pytest.raises(ExportRefusedError, match="embedding of the exported graph differs by inf"):
        check_parity(other, path, INPUTS, ExportConfig())


@pytest.fixture(scope="module")
def quantised(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "model.int8.onnx"
    quantise(exported, path, INPUTS, QuantisationConfig(calibration_images=8))
    return path


def test_quantised_graph_is_a_quarter_and_answers_nearly_alike(
    exported: Path, quantised: Path
) -> None:
    assert quantised.stat().st_size < 0.35 * exported.stat().st_size
    exact = GraphRunner(exported, SPEC, threads=1).on_images(PICTURES)
    rounded = GraphRunner(quantised, SPEC, threads=1).on_images(PICTURES)
    for name in OUTPUTS:
        left, right = getattr(exact, name).ravel(), getattr(rounded, name).ravel()
        assert left.shape == right.shape
        assert np.abs(left - right).max() > 0
        assert np.corrcoef(left, right)[0, 1] > 0.9


def test_last_layer_stays_in_float(quantised: Path) -> None:
    model = onnx.load(str(quantised))
    made_by = {name: node for node in model.graph.node for name in node.output}
    for name in ("logits", "activation_map"):
        assert made_by[name].op_type not in ("DequantizeLinear", "QuantizeLinear")
    kinds = {node.op_type for node in model.graph.node}
    assert {"QuantizeLinear", "DequantizeLinear", "Conv"} <= kinds


def test_first_convolutions_stay_exact_where_asked(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.int8.onnx"
    quantise(exported, path, INPUTS, QuantisationConfig(calibration_images=2, first_exact=2))
    graph = onnx.load(str(path)).graph
    rounded = {name for n in graph.node if n.op_type == "DequantizeLinear" for name in n.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert [node.input[1] in rounded for node in convolutions[:4]] == [False, False, True, True]


CALIBRATION = Calibration((LabelCalibration(1.0, 0.0, 0.5, 0.9, 0.4, 0.6),))
REFERENCE = Reference(
    mean=np.zeros(2, np.float32),
    components=np.eye(2, dtype=np.float32),
    variances=np.ones(2, np.float32),
    residual_variance=1.0,
    threshold=1.0,
)
TRUTH = np.arange(100) >= 50


def outputs(wrong: int = 0, refused: int = 0) -> Outputs:
    """Answers of which so many are wrong and so many far from the reference."""
    logits = np.where(TRUTH, 2.0, -2.0)
    logits[:wrong] = 3.0
    embedding = np.zeros((100, 2), np.float32)
    embedding[:refused] = 5.0
    maps = np.zeros((100, 1, 2, 2), np.float32)
    return Outputs(logits[:, None].astype(np.float32), maps, embedding)


GATE = QuantisationConfig(auc_loss=0.03, accuracy_loss=0.015, refusal_change=0.02)


@pytest.mark.parametrize(
    ("fp32", "int8", "reasons"),
    [
        (outputs(), outputs(), []),
        (outputs(), outputs(wrong=1), []),
        (outputs(), outputs(wrong=2), ["AUC", "accuracy"]),
        (outputs(wrong=5), outputs(), []),
        (outputs(), outputs(refused=2), []),
        (outputs(), outputs(refused=3), ["share of refused images"]),
        (outputs(refused=10), outputs(refused=5), ["share of refused images"]),
        (outputs(), outputs(wrong=9, refused=9), ["AUC", "accuracy", "share of refused images"]),
    ],
)
def test_int8_is_accepted_within_its_losses_and_else_says_why(
    fp32: Outputs, int8: Outputs, reasons: list[str]
) -> None:
    gate = judge(fp32, int8, TRUTH[:, None], CALIBRATION, REFERENCE, GATE)
    assert gate.accepted is not bool(reasons)
    assert [
        reason.partition(" changes by ")[0] for reason in gate.reason.split("; ") if reason
    ] == (reasons)


def test_gate_states_what_changed() -> None:
    gate = judge(
        outputs(), outputs(wrong=4, refused=7), TRUTH[:, None], CALIBRATION, REFERENCE, GATE
    )
    assert (gate.accuracy_fp32, gate.accuracy_int8) == (1.0, 0.96)
    assert (gate.refused_fp32, gate.refused_int8) == (0.0, 0.07)
    assert (gate.auc_fp32, gate.changed_decisions) == (1.0, 0.04)
    assert gate.auc_int8 == pytest.approx(0.92)
    expected = CALIBRATION.labels[0].probability(3.0) - CALIBRATION.labels[0].probability(-2.0)
    assert gate.largest_probability_change == pytest.approx(expected)
    assert "AUC changes by 0.0800, at most 0.03 is accepted" in gate.reason


@pytest.mark.parametrize("name", OUTPUTS)
def test_answers_that_are_no_numbers_are_refused(name: str) -> None:
    """Also where no figure falls: a distance that is no number is never above the threshold."""
    broken = outputs()
    getattr(broken, name)[3] = np.nan
    gate = judge(outputs(), broken, TRUTH[:, None], CALIBRATION, REFERENCE, GATE)
    assert not gate.accepted
    assert f"{name} is not a finite number" in gate.reason
    assert np.isfinite(gate.largest_probability_change)


def test_network_with_a_field_is_exported_as_it_answers(tmp_path: Path) -> None:
    network = pretrained(1, 0.0, 0.0, field=True)
    torch.manual_seed(1)
    nn.init.normal_(network.classify.weight, std=0.05)
    graph = ReleasedGraph([network], CONFIG).eval()
    path = tmp_path / "model.onnx"
    write_onnx(graph, (1, SIDE), path)
    parity = check_parity(graph, path, INPUTS, ExportConfig())
    assert 0 < parity.activation_map < 1e-2
    outputs = GraphRunner(path, SPEC, threads=1).on_images(PICTURES)
    assert outputs.activation_map.shape == (len(PICTURES), 1, SIDE // 16, SIDE // 16)
