"""Whether a model looks at the lungs: where its evidence lies, and what it makes of the rest.

An AUC with covered lungs alone can be driven to chance by a network that merely knows a cover. The
exchange cannot: each test chest is put into another child's radiograph whose class is a coin's, so
one picture tells both how far the lungs decide and how far their surroundings do.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from models.evidence import REGION_LEVEL, heat_of, regions_of
from models.findings import Decision
from training import metrics
from training.batches import level_batch
from training.evaluation import Evaluated, EvaluationConfig, thinned
from training.graph_run import GraphRunner
from training.lungs import Chests, chest_of, transplanted
from training.metrics import Scored

_BATCH = 64


def measure_lungs(
    part: Evaluated,
    maps: NDArray[np.float32],
    lungs: NDArray[np.uint8],
    runner: GraphRunner,
    config: EvaluationConfig,
    seed: int,
) -> dict[str, Any]:
    """Return what `evaluation.json` says of the lungs.

    Args:
        part: the test part, with its images and one label.
        maps: their activation maps, shape (samples, labels, cells, cells).
        lungs: where their lungs are, shape (samples, cells, cells).
        runner: the graph, for changed images.
        config: how much is measured.
        seed: decides which chest goes where, and the resampled patients.
    """
    chosen, pixels = thinned(part, config)
    chests = Chests(
        level_batch(pixels), torch.from_numpy(lungs[chosen].astype(np.float32))[:, None]
    )
    rng = np.random.default_rng(seed)
    truth = part.truth[chosen, 0]
    hosts = _hosts(truth, rng)
    exchanged = _answers(part, runner, _exchanged(chests, hosts))
    groups = part.manifest.groups()[chosen]
    ones = np.ones(len(chosen))

    def area(of: NDArray[np.bool_], probability: NDArray[np.float64]) -> dict[str, float]:
        scored = Scored(of, probability, groups, ones)
        told = metrics.bootstrap(
            scored,
            lambda drawn: {"auc": metrics.auc(drawn.truth, drawn.probability)},
            config.bootstrap_repeats,
            seed,
        )
        return told["auc"]

    blacked = _answers(part, runner, _blacked(chests))
    return {
        "images": len(chosen),
        "evidence": evidence_in_lungs(part, maps[:, 0], lungs),
        "covered": {"images_auc": area(truth, blacked)},
        "exchanged": {
            "auc_for_the_lungs": area(truth, exchanged),
            "auc_for_the_surroundings": area(truth[hosts], exchanged),
        },
    }


def evidence_in_lungs(
    part: Evaluated, maps: NDArray[np.float32], lungs: NDArray[np.uint8]
) -> dict[str, float | int]:
    """Return how much of what is marked lies in the lungs, of findings rightly called present.

    The marks are those that the service shows, regions and heat above their level.
    """
    point = part.calibration.labels[0]
    called = [point.decide(float(p)) is Decision.PRESENT for p in part.probability[:, 0]]
    chosen = np.flatnonzero(part.truth[:, 0] & np.array(called))
    inside, within_chest, sizes, centred = [], [], [], []
    for at in chosen:
        heat = heat_of(maps[at])
        marked = heat >= REGION_LEVEL
        if not marked.any():
            continue
        mask = torch.from_numpy(lungs[at].astype(np.float32))[None, None]
        own = _on_grid(mask[0, 0].numpy(), len(heat))
        chest = _on_grid(chest_of(mask)[0, 0].numpy(), len(heat))
        inside.append(float(own[marked].mean()))
        within_chest.append(float(chest[marked].mean()))
        sizes.append(float(own.mean()))
        for region in regions_of(heat, rows=len(heat), columns=len(heat)):
            row, column = region.row + region.height // 2, region.column + region.width // 2
            centred.append(bool(chest[row, column]))
    return {
        "images": len(inside),
        "marked_area_in_lungs": float(np.mean(inside)) if inside else 0.0,
        "marked_area_in_chest": float(np.mean(within_chest)) if inside else 0.0,
        "lungs_share_of_image": float(np.mean(sizes)) if inside else 0.0,
        "regions": len(centred),
        "regions_centred_in_chest": float(np.mean(centred)) if centred else 0.0,
    }


def _on_grid(mask: NDArray[np.float32], side: int) -> NDArray[np.bool_]:
    small = Image.fromarray(mask).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(np.asarray(small) > 0.5)


def _hosts(truth: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.intp]:
    """Return another image for each, of a class that does not depend on its own."""
    drawn = []
    for at in range(len(truth)):
        members = np.flatnonzero(truth == (rng.random() < 0.5))
        drawn.append(rng.choice(members[members != at]))
    return np.array(drawn, dtype=np.intp)


def _exchanged(chests: Chests, hosts: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Return every chest in the radiograph of its host, set in hard, as it never is in training."""
    parts = []
    for start in range(0, len(hosts), _BATCH):
        guests = np.arange(start, min(start + _BATCH, len(hosts)))
        mixed = transplanted(chests.take(guests), chests.take(hosts[guests]), blended=False)
        parts.append(mixed.images)
    return _grey(torch.cat(parts))


def _blacked(chests: Chests) -> NDArray[np.uint8]:
    """Return the images with the chest, in its own outline, black: no cover of the training is."""
    cells = chest_of(chests.lungs, 2)
    side = chests.images.shape[3]
    hidden = torch.nn.functional.interpolate(cells, size=(side, side), mode="nearest")
    return _grey(chests.images * (1 - hidden))


def _grey(images: torch.Tensor) -> NDArray[np.uint8]:
    return np.asarray(images[:, 0].round().clamp(0, 255).to(torch.uint8).numpy())


def _answers(
    part: Evaluated, runner: GraphRunner, images: NDArray[np.uint8]
) -> NDArray[np.float64]:
    return part.calibration.probabilities(runner.on_images(images).logits)[:, 0]


def lung_lines(measured: Mapping[str, Any]) -> list[str]:
    """Return the card's lines on the lungs, out of `evaluation.json`."""
    evidence, exchanged = measured["evidence"], measured["exchanged"]
    own, around = exchanged["auc_for_the_lungs"], exchanged["auc_for_the_surroundings"]
    black = measured["covered"]["images_auc"]

    def told(entry: Mapping[str, float]) -> str:
        return f"{entry['value']:.3f} ({entry['low']:.3f}-{entry['high']:.3f})"

    return [
        "## Whether it looks at the lungs",
        "",
        f"Of {evidence['images']} test images rightly called present, "
        f"{evidence['marked_area_in_lungs']:.1%} of the marked area lies in the lungs (which are "
        f"{evidence['lungs_share_of_image']:.0%} of an image), "
        f"{evidence['marked_area_in_chest']:.1%} in the lungs or between them; "
        f"{evidence['regions_centred_in_chest']:.1%} of {evidence['regions']} regions have their "
        "middle there. No radiologist drew these lungs: they are found by a shape model "
        "(`datasets.lung_field`), which the network was also taught by.",
        "",
        f"{measured['images']} test chests were put into the radiograph of another child, whose "
        "class was a coin's. AUC for the class of "
        f"the lungs {told(own)}, for the class of what is around them {told(around)}; 0.5 means "
        f"that the surroundings do not count. With the chest black the AUC is {told(black)}.",
        "",
        "In training, chests were covered by flat, rough or continued grey and put into other "
        "radiographs with soft seams and fitted grey levels; in these tests they are covered by "
        "black or by a rectangle of the image's mean grey, and put in hard.",
    ]
