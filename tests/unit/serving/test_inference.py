"""A graph that does not fit its package is told when it is opened, not at the first image."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models.errors import PackageInvalidError
from models.package import ONNX, ModelPackage, seal
from serving.inference import Network
from tests.package_samples import SIDE_PX, write_tiny_package


def opened(root: Path) -> Network:
    seal(root)
    return Network(ModelPackage.load(root))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tiny_package(tmp_path / "package")


def write_graph(path: Path, *, labels: int, embedding: int) -> None:
    """A graph with outputs of the contract's names and of these sizes."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, SIDE_PX, SIDE_PX])
    shapes = {
        "logits": (1, labels),
        "activation_map": (1, labels, 2, 2),
        "embedding": (1, embedding),
    }
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node(
            "Constant",
            [],
            [name],
            value=helper.make_tensor(
                name, TensorProto.FLOAT, shape, np.zeros(shape, np.float32).ravel()
            ),
        )
        for name, shape in shapes.items()
    ]
    graph = helper.make_graph(nodes, "constant", [image], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, str(path))


def write_graph_that_fails(path: Path) -> None:
    """A graph that opens, and fails once it runs: its image cannot have that many cells."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, "r", "c"])
    names = ("logits", "activation_map", "embedding")
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    nodes = [helper.make_node("Reshape", ["image", "shape"], [name]) for name in names]
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [7, 11])
    graph = helper.make_graph(nodes, "failing", [image], outputs, [shape])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, str(path))


def test_a_graph_that_fits_answers_in_the_shapes_of_the_contract(root: Path) -> None:
    output = opened(root).run(np.ones((1, SIDE_PX, SIDE_PX), np.float32))

    assert output.logits.shape == (1,)
    assert output.activation_maps.shape == (1, 2, 2)
    assert output.embedding.shape == (4,)


@pytest.mark.parametrize("junk", [b"", b"no graph at all", bytes(range(256)) * 40], ids=len)
def test_bytes_that_are_no_graph_are_told(root: Path, junk: bytes) -> None:
    (root / ONNX).write_bytes(junk)

    with pytest.raises(PackageInvalidError, match="cannot run the graph"):
        opened(root)


def test_a_graph_that_fails_when_it_runs_is_told(root: Path) -> None:
    write_graph_that_fails(root / ONNX)

    with pytest.raises(PackageInvalidError, match="cannot run the graph"):
        opened(root)


@pytest.mark.parametrize(
    ("labels", "embedding", "told"),
    [
        pytest.param(2, 4, r"logits of shape \(2,\)", id="labels"),
        pytest.param(1, 5, r"embedding of \(5,\)", id="embedding"),
    ],
)
def test_a_graph_of_other_sizes_than_its_package_is_told(
    root: Path, labels: int, embedding: int, told: str
) -> None:
    write_graph(root / ONNX, labels=labels, embedding=embedding)

    with pytest.raises(PackageInvalidError, match=told):
        opened(root)


def test_a_graph_without_the_outputs_of_the_contract_is_told(root: Path) -> None:
    write_graph(root / ONNX, labels=1, embedding=4)
    graph = onnx.load(str(root / ONNX))
    graph.graph.output.pop()
    onnx.save(graph, str(root / ONNX))

    with pytest.raises(PackageInvalidError, match="the graph has inputs"):
        opened(root)
