import pytest
import torch
from torch import Tensor, nn

from models.errors import DataError
from training.networks import FEATURES, ImageClassifier
from training.released_graph import GraphConfig, ReleasedGraph

SIDE, LABELS = 64, 2


def member(seed: int) -> ImageClassifier:
    torch.manual_seed(seed)
    network = ImageClassifier(LABELS).eval()
    nn.init.normal_(network.classify.weight, std=0.3)
    nn.init.normal_(network.classify.bias)
    # Freshly drawn layers shrink what passes; these keep the last map well away from zero.
    with torch.no_grad():
        for layer in network.backbone.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.mul_(1.6)
    return network


def images(count: int = 3) -> Tensor:
    return torch.randn(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(9))


MEMBERS = [member(0), member(1)]
CONFIGS = [
    GraphConfig(),
    GraphConfig(mirror_average=True),
    GraphConfig(mirror_average=True, embedding_blocks=(4, 10)),
    GraphConfig(embedding_blocks=(10,), embedding_last=False),
    GraphConfig(quarter_turns=2),
    GraphConfig(mirror_average=True, quarter_turns=4, embedding_blocks=(4,)),
]


@torch.inference_mode()
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("count", [1, 2])
def test_mean_of_the_map_and_bias_is_the_logit(config: GraphConfig, count: int) -> None:
    members = MEMBERS[:count]
    logits, activation_map, _ = ReleasedGraph(members, config)(images())
    assert activation_map.shape == (3, LABELS, SIDE // 32, SIDE // 32)
    bias = torch.stack([each.classify.bias for each in members]).mean(0)
    torch.testing.assert_close(activation_map.mean((2, 3)) + bias, logits)
    assert activation_map.flatten(2).std(2).min() > 1e-4


@torch.inference_mode()
@pytest.mark.parametrize("config", CONFIGS)
def test_members_that_are_told_apart_average_to_the_logits(config: GraphConfig) -> None:
    graph = ReleasedGraph(MEMBERS, config, told_apart=True)
    logits, *_, each = graph(images())
    assert each.shape == (3, len(MEMBERS), LABELS)
    torch.testing.assert_close(each.mean(1), logits)
    for at, one in enumerate(MEMBERS):
        torch.testing.assert_close(each[:, at], ReleasedGraph([one], config)(images())[0])


@torch.inference_mode()
def test_graph_of_one_member_is_its_network() -> None:
    logits, _, embedding = ReleasedGraph(MEMBERS[:1], GraphConfig())(images())
    torch.testing.assert_close(logits, MEMBERS[0](images()))
    torch.testing.assert_close(embedding, MEMBERS[0].backbone(images()).mean((2, 3)))


@torch.inference_mode()
def test_members_are_averaged_and_the_first_embeds() -> None:
    logits, _, embedding = ReleasedGraph(MEMBERS, GraphConfig())(images())
    torch.testing.assert_close(logits, (MEMBERS[0](images()) + MEMBERS[1](images())) / 2)
    torch.testing.assert_close(embedding, MEMBERS[0].backbone(images()).mean((2, 3)))


@torch.inference_mode()
@pytest.mark.parametrize("config", CONFIGS[1:3])
def test_mirror_average_does_not_know_left_from_right(config: GraphConfig) -> None:
    graph = ReleasedGraph(MEMBERS[:1], config)
    logits, activation_map, embedding = graph(images())
    turned_logits, turned_map, turned_embedding = graph(images().flip(3))
    torch.testing.assert_close(turned_logits, logits)
    torch.testing.assert_close(turned_map, activation_map.flip(3))
    torch.testing.assert_close(turned_embedding, embedding)
    plain, _, _ = ReleasedGraph(MEMBERS[:1], GraphConfig())(images())
    assert (plain - logits).abs().max() > 1e-4


@torch.inference_mode()
@pytest.mark.parametrize(
    ("config", "quarters"),
    [
        (GraphConfig(quarter_turns=2), (2,)),
        (GraphConfig(quarter_turns=4), (1, 2, 3)),
        (GraphConfig(mirror_average=True, quarter_turns=4), (1, 2, 3)),
    ],
)
def test_averaged_turns_do_not_know_up_from_down(
    config: GraphConfig, quarters: tuple[int, ...]
) -> None:
    graph = ReleasedGraph(MEMBERS[:1], config)
    logits, activation_map, embedding = graph(images())
    for quarter in quarters:
        turned = graph(torch.rot90(images(), quarter, (2, 3)))
        torch.testing.assert_close(turned[0], logits)
        torch.testing.assert_close(turned[1], torch.rot90(activation_map, quarter, (2, 3)))
        torch.testing.assert_close(turned[2], embedding)
    plain, _, _ = ReleasedGraph(MEMBERS[:1], GraphConfig())(images())
    assert (plain - logits).abs().max() > 1e-4


@pytest.mark.parametrize("turns", [0, 3, 8])
def test_turns_that_are_no_part_of_a_circle_are_refused(turns: int) -> None:
    with pytest.raises(DataError, match="expected 1, 2 or 4"):
        GraphConfig(quarter_turns=turns)


@torch.inference_mode()
@pytest.mark.parametrize(
    ("config", "features"),
    [
        (GraphConfig(), FEATURES),
        (GraphConfig(embedding_blocks=(4, 10)), 40 + 112 + FEATURES),
        (GraphConfig(embedding_blocks=(10,), embedding_last=False), 112),
    ],
)
def test_embedding_holds_the_blocks_asked_for(config: GraphConfig, features: int) -> None:
    _, _, embedding = ReleasedGraph(MEMBERS[:1], config)(images())
    assert embedding.shape == (3, features)


@torch.inference_mode()
@pytest.mark.parametrize("config", CONFIGS)
def test_images_do_not_change_each_others_answers(config: GraphConfig) -> None:
    graph = ReleasedGraph(MEMBERS, config)
    together = graph(images())
    for index in range(3):
        alone = graph(images()[index : index + 1])
        for found, expected in zip(alone, together, strict=True):
            torch.testing.assert_close(found[0], expected[index], rtol=1e-4, atol=1e-5)
