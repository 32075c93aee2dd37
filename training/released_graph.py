"""The graph that a package ships: everything serving needs, without gradients.

From one input of shape (n, 1, side, side):
    logits          (n, labels)
    activation_map  (n, labels, cells, cells), of 32 pixels each, or 16 of a network with a field:
                    class activation mapping (Zhou et al., CVPR 2016), exact here because pooling
                    and the linear layer commute; the mean of a map plus the layer's bias is the
                    logit
    embedding       (n, features): pooled features that the out-of-distribution check looks at
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from models.errors import DataError
from training.later import later
from training.networks import ImageClassifier

OUTPUTS = ("logits", "activation_map", "embedding")
MEMBER_LOGITS = "member_logits"
"""A fourth output, of members that are cross-fitted: what each of them says, shape (n, members,
labels). Serving does not ask for it, and what is not asked for is not computed."""


@dataclass(frozen=True, slots=True)
class GraphConfig:
    """What the released graph does besides running the network."""

    mirror_average: bool = False
    """Average the image and its left-right mirror; doubles the cost. Maps are mirrored back."""
    quarter_turns: int = later(1)
    """Turns of the image that are averaged, 1, 2 (by 180 degrees) or 4, for images that have no
    upright; costs as many times. Maps are turned back. With the mirror, all 8 views of a square."""
    embedding_blocks: tuple[int, ...] = ()
    """Blocks (0-15) whose pooled output is added to the embedding, beside the last feature map's.
    Early blocks see texture and edges, which tell another kind of image apart better."""
    embedding_last: bool = True
    """Whether the pooled last feature map is part of the embedding."""

    def __post_init__(self) -> None:
        if self.quarter_turns not in (1, 2, 4):
            raise DataError(
                f"graph.quarter_turns is {self.quarter_turns}; expected 1, 2 or 4, which keep a "
                "square a square."
            )

    @property
    def views(self) -> int:
        """How often the network is run for one image."""
        return self.quarter_turns * (2 if self.mirror_average else 1)


class ReleasedGraph(nn.Module):
    """One or several members, averaged, with maps and embedding as outputs.

    The embedding is the first member's: one clear space to measure distances in.
    """

    def __init__(
        self, members: list[ImageClassifier], config: GraphConfig, *, told_apart: bool = False
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.config = config
        self.told_apart = told_apart

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs, in their order."""
        return (*OUTPUTS, MEMBER_LOGITS) if self.told_apart else OUTPUTS

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return `outputs` for `image`."""
        views = self._views(image)
        maps: list[Tensor] = []
        biases: list[Tensor] = []
        embeddings: list[Tensor] = []
        for module in self.members:
            member = cast(ImageClassifier, module)
            seen = member.see(views, self.config.embedding_blocks)
            maps.append(seen.maps)
            biases.append(member.classify.bias)
            embeddings.append(self._embedding(seen.last, seen.tapped))
        activation_map = torch.stack(maps).mean(0) if len(maps) > 1 else maps[0]
        embedding = embeddings[0]
        # Reshaped by the batch's own size: chunk() would fix it at the example's.
        by_view = (self.config.views, image.shape[0])
        if self.config.views > 1:
            activation_map = self._upright(activation_map.unflatten(0, by_view)).mean(0)
            embedding = embedding.unflatten(0, by_view).mean(0)
        logits = activation_map.mean((2, 3)) + torch.stack(biases).mean(0)
        if not self.told_apart:
            return logits, activation_map, embedding
        each = [
            one.mean((2, 3)).unflatten(0, by_view).mean(0) + bias
            for one, bias in zip(maps, biases, strict=True)
        ]
        return logits, activation_map, embedding, torch.stack(each, 1)

    def _quarters(self) -> range:
        return range(0, 4, 4 // self.config.quarter_turns)

    def _views(self, image: Tensor) -> Tensor:
        """Return every view of the images, one view after the other, shape (views * n, ...)."""
        if self.config.views == 1:
            return image
        turned = [torch.rot90(image, quarter, (2, 3)) for quarter in self._quarters()]
        mirrored = [view.flip(3) for view in turned] if self.config.mirror_average else []
        return torch.cat(turned + mirrored)

    def _upright(self, maps: Tensor) -> Tensor:
        """Return the maps of every view, shape (views, n, ...), as those of the image itself."""
        quarters = list(self._quarters())
        upright = [torch.rot90(maps[at], -quarter, (2, 3)) for at, quarter in enumerate(quarters)]
        if self.config.mirror_average:
            mirrored = maps[len(quarters) :].flip(4)
            upright += [torch.rot90(mirrored[at], -q, (2, 3)) for at, q in enumerate(quarters)]
        return torch.stack(upright)

    def _embedding(self, last: Tensor, tapped: list[Tensor]) -> Tensor:
        parts = [*tapped, last] if self.config.embedding_last else tapped
        return torch.cat([part.mean((2, 3)) for part in parts], dim=1)
