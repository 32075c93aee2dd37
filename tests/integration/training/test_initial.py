"""A training that goes on from a released package."""

from dataclasses import replace

import numpy as np
import onnxruntime as ort
import pytest
import torch

from models.errors import DataError
from models.package import ModelPackage
from models.preprocessing import prepare
from models.store import RELEASED
from tests.kermany_samples import made_up_radiograph
from training.config import load_config
from training.initial import start_from
from training.networks import ImageClassifier
from training.released_graph import ReleasedGraph

CONFIG = load_config("chest-xray-pneumonia")


def test_training_starts_where_the_package_ended() -> None:
    initial = CONFIG.network.initial
    assert initial is not None
    package = ModelPackage.load(RELEASED / initial.package / initial.version)
    network = ImageClassifier(len(package.labels))
    start_from(network, initial)
    image = prepare(made_up_radiograph(3, True, 224), package.input_spec)[np.newaxis]
    session = ort.InferenceSession(str(package.onnx_path), providers=["CPUExecutionProvider"])
    expected = session.run(["logits", "activation_map"], {"image": image})
    with torch.inference_mode():
        graph = ReleasedGraph([network.eval()], CONFIG.graph)
        found = graph(torch.from_numpy(image))
    for told, value in zip(found, expected, strict=False):
        np.testing.assert_allclose(told.numpy(), value, rtol=1e-3, atol=1e-3)


def test_field_is_left_to_be_taught() -> None:
    assert CONFIG.network.initial is not None
    network = ImageClassifier(1, field=True)
    assert network.field is not None
    before = network.field.tell.weight.clone()
    start_from(network, CONFIG.network.initial)
    assert torch.equal(network.field.tell.weight, before)


def test_another_package_than_the_one_meant_is_refused() -> None:
    assert CONFIG.network.initial is not None
    other = replace(CONFIG.network.initial, digest="sha256:0")
    with pytest.raises(DataError, match="names sha256:0"):
        start_from(ImageClassifier(1), other)


def test_package_of_another_network_is_refused() -> None:
    assert CONFIG.network.initial is not None
    with pytest.raises((DataError, RuntimeError)):
        start_from(ImageClassifier(3), CONFIG.network.initial)
