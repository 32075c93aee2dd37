"""Train one member: resumable at every epoch, with the same result as if never interrupted.

Everything random in an epoch follows from the seed, the member and the epoch's number, so a resumed
run needs no generator's state: it draws in epoch 3 what an uninterrupted one would have drawn.
"""

import copy
import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from monai.utils import set_determinism
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the name that PyTorch's own pages use

from models.errors import DataError
from models.preprocessing import ImageKind, InputSpec
from training.augmentation import FIELD_PX, AcquisitionAugmentation, AugmentationConfig
from training.batches import Prepare, PrepareAugmented, level_batch
from training.initial import InitialConfig, start_from
from training.later import later
from training.lungs import LungConfig
from training.networks import FIELD_STRIDE_PX, Answering, ImageClassifier, pretrained
from training.teacher import TeacherConfig
from training.team import ALONE, Team
from training.tile_augmentation import TileAugmentation, TileAugmentationConfig
from training.training_images import Batch, TrainingImages

LOSSES = ("binary_cross_entropy", "cross_entropy", "focal")
SCHEDULES = ("cosine", "linear", "constant")
Augmentation = AcquisitionAugmentation | TileAugmentation


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """The network and how much of it is trained."""

    frozen_blocks: int = 3
    """Stem and first blocks that keep their ImageNet weights; 0 trains everything."""
    dropout: float = 0.3
    drop_path: float = 0.1
    initial: InitialConfig | None = later(None)
    """A released package to start from; `None` starts from ImageNet's weights."""


@dataclass(frozen=True, slots=True)
class OptimisationConfig:
    """AdamW with a cosine schedule and an exponential mean of the weights."""

    epochs: int = 4
    learning_rate: float = 3e-4
    head_factor: float = 10.0
    """Learning rate of the last layer, in multiples of the others'."""
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    """Targets are this far from 0 and 1."""
    ema_decay: float = 0.99
    warm_up_share: float = 0.05
    final_rate_share: float = 0.02
    """Share of the learning rate that is left at the end."""
    gradient_norm: float = 1.0
    precision: str = "bfloat16"
    """`bfloat16` (autocast) or `float32`."""
    threads: int = 2
    loss: str = later("binary_cross_entropy")
    """Each finding on its own (`binary_cross_entropy`, or `focal`: Lin et al., ICCV 2017), or one
    class out of several (`cross_entropy`)."""
    focal_gamma: float = later(2.0)
    schedule: str = later("cosine")
    """How the learning rate falls after the warm-up: `cosine`, `linear` or `constant`."""

    def __post_init__(self) -> None:
        for name, value, known in (
            ("precision", self.precision, ("bfloat16", "float32")),
            ("loss", self.loss, LOSSES),
            ("schedule", self.schedule, SCHEDULES),
        ):
            if value not in known:
                raise DataError(f"{name} is {value!r}; expected one of {', '.join(known)}.")


@dataclass(frozen=True, slots=True)
class SelectionConfig:
    """Which epoch is kept, judged on the validation part by the averaged weights."""

    criterion: str = "shifted_auc"
    """A name out of the scores of `training.evaluation.epoch_scores`."""
    scenario_images: int = 0
    """Validation images that each acquisition scenario is tried on after every epoch; 0 leaves
    the scenarios to the evaluation."""
    keep: str = "best"
    """`best` by the criterion, or the `last`: the schedule ends there."""
    patience: int = 0
    """Epochs without a better score after which training stops; 0 never stops early."""


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """Everything that decides a member's weights."""

    seed: int
    input_spec: InputSpec
    network: NetworkConfig
    optimisation: OptimisationConfig
    augmentation: AugmentationConfig
    selection: SelectionConfig
    tile_augmentation: TileAugmentationConfig = later(TileAugmentationConfig())
    lungs: LungConfig = later(LungConfig())
    teacher: TeacherConfig = later(TeacherConfig())

    def __post_init__(self) -> None:
        if self.lungs.field and self.teacher.share:
            raise DataError(
                f"teacher.share is {self.teacher.share:g}; expected 0, for lungs.field."
            )
        if self.lungs.field and self.input_spec.kind == ImageKind.TILE:
            raise DataError("lungs.field is for radiographs; a tile of a slide shows none.")
        if self.selection.keep not in ("best", "last"):
            raise DataError(f"selection.keep is {self.selection.keep!r}; expected best or last.")

    def augmenting(self) -> Augmentation:
        """Return the augmentation for the kind of image."""
        if self.input_spec.kind == ImageKind.TILE:
            return TileAugmentation(self.tile_augmentation, self.input_spec.side_px)
        return AcquisitionAugmentation(self.augmentation, self.input_spec.side_px)


@dataclass(slots=True)
class Progress:
    """How far a member is; grows by one entry an epoch."""

    scores: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = -1
    best_score: float = -math.inf

    def finished(self, config: LoopConfig) -> bool:
        """Whether all epochs are done, or patience has run out."""
        waited = len(self.scores) - 1 - self.best_epoch
        patience = config.selection.patience
        return len(self.scores) >= config.optimisation.epochs or 0 < patience <= waited


Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From stored images, shape (n, rows, columns[, 3]), to logits, shape (n, labels)."""
Score = Callable[[Predict], dict[str, float]]
"""Judges a network by its predictions."""


class Watch(Protocol):
    """Is told how a training goes."""

    def stage(self, text: str) -> None:
        """A new stage begins."""

    def step(self, done: int, total: int) -> None:
        """`done` of `total` batches of the epoch are done."""

    def epoch(self, member: int, epoch: int, scores: dict[str, float]) -> None:
        """An epoch, counted from 0, is done and safely on disk."""


class MemberTraining:
    """One member's training: its network, optimiser, averaged weights and progress."""

    def __init__(self, config: LoopConfig, member: int, labels: int, team: Team = ALONE) -> None:
        self.config = config
        self.member = member
        self.team = team
        self._determine(0)
        self.network = pretrained(
            labels,
            config.network.dropout,
            config.network.drop_path,
            config.input_spec.channels,
            field=config.lungs.field,
        ).to(team.device)
        if config.network.initial is not None:
            start_from(self.network, config.network.initial)
        self.network.backbone.freeze(config.network.frozen_blocks)
        self.averaged = copy.deepcopy(self.network)
        self._joined = team.joined(Answering(self.network))
        self.best = copy.deepcopy(self.network.state_dict())
        self.optimiser = self._optimiser()
        self.progress = Progress()

    def run(
        self,
        images: TrainingImages,
        score: Score,
        checkpoint: Path,
        watch: Watch,
    ) -> ImageClassifier:
        """Train to the end, from the checkpoint if there is one, and return the kept network.

        Args:
            images: what to train on.
            score: judges the averaged weights after each epoch.
            checkpoint: written whole after each epoch.
            watch: told of every step and epoch.
        """
        torch.set_num_threads(self.config.optimisation.threads)
        if checkpoint.exists():
            self._restore(checkpoint)
            for epoch, scores in enumerate(self.progress.scores):
                watch.epoch(self.member, epoch, scores)
        while not self.progress.finished(self.config):
            epoch = len(self.progress.scores)
            loss = self._epoch(epoch, images, watch)
            scores = score(partial(predict, self.averaged, self.config)) if self.team.leads else {}
            self._keep(epoch, self.team.told(scores | {"training_loss": loss}))
            if self.team.leads:
                self._save(checkpoint)
            watch.epoch(self.member, epoch, self.progress.scores[-1])
        kept = copy.deepcopy(self.averaged)
        if self.config.selection.keep == "best":
            kept.load_state_dict(self.best)
        return kept.cpu().eval()

    def _epoch(self, epoch: int, images: TrainingImages, watch: Watch) -> float:
        rng = self._determine(epoch)
        augment = self.config.augmenting()
        augment.set_random_state(self.team.own_seed(int(rng.integers(2**31))))
        self.network.train()
        losses, own = [], self.team.own_generator(rng)
        steps = images.sampler.config.steps_per_epoch
        for step, drawn in enumerate(images.sampler.epoch(rng)):
            self._schedule(epoch * steps + step, steps * self.config.optimisation.epochs)
            chosen = images.positions[self.team.share(drawn)]
            losses.append(self._step(self._batch(images, chosen, augment, own)))
            self._average(epoch * steps + step)
            watch.step(step + 1, steps)
        return self.team.mean(float(np.mean(losses)))

    def _batch(
        self,
        images: TrainingImages,
        chosen: NDArray[np.intp],
        augment: Augmentation,
        rng: np.random.Generator,
    ) -> Batch:
        config, spec = self.config.optimisation, self.config.input_spec
        found = images.targets[chosen]
        positive = np.asarray(found.any(axis=1))
        targets = torch.from_numpy(found.astype(np.float32))
        if images.kept_to_lungs is not None:
            chests, targets = images.kept_to_lungs.draw(chosen, targets, rng)
            assert isinstance(augment, AcquisitionAugmentation)  # noqa: S101 - of radiographs
            changed, lungs = augment.with_fields(chests.images, positive, chests.lungs)
            assert lungs is not None  # noqa: S101 - they were given
            field = F.avg_pool2d(lungs, FIELD_STRIDE_PX // FIELD_PX)
            return Batch(PrepareAugmented(spec)(changed), smoothed(targets, config), field)
        pixels = images.pixels[chosen]
        if augment.config.strength == 0:
            inputs: Tensor = Prepare(spec)(pixels)
        else:
            inputs = PrepareAugmented(spec)(augment(level_batch(pixels), positive))
        learnt = smoothed(targets, config)
        return Batch(inputs, images.taught.softened(learnt, chosen) if images.taught else learnt)

    def _step(self, batch: Batch) -> float:
        config = self.config.optimisation
        device = self.team.device
        inputs = batch.inputs.to(device).contiguous(memory_format=torch.channels_last)
        targets = batch.targets.to(device)
        with _autocast(config.precision, device):
            logits, told = self._joined(inputs)
        loss = loss_of(logits.float(), targets, config)
        if batch.field is not None and told is not None:
            taught = F.binary_cross_entropy_with_logits(told.float(), batch.field.to(device))
            loss = loss + self.config.lungs.field_weight * taught
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), config.gradient_norm)
        self.optimiser.step()
        return loss.item()

    def _average(self, step: int) -> None:
        # Early on the mean follows more closely, or it would hold the untrained weights.
        decay = min(self.config.optimisation.ema_decay, (1 + step) / (10 + step))
        with torch.no_grad():
            pairs = zip(self.averaged.parameters(), self.network.parameters(), strict=True)
            for mean, current in pairs:
                mean.mul_(decay).add_(current, alpha=1 - decay)

    def _schedule(self, step: int, steps: int) -> None:
        config = self.config.optimisation
        warm_up = min(1.0, step / max(1.0, config.warm_up_share * steps))
        left = {
            "cosine": 0.5 * (1 + math.cos(math.pi * step / steps)),
            "linear": 1 - step / steps,
            "constant": 1.0,
        }[config.schedule]
        share = warm_up * (config.final_rate_share + (1 - config.final_rate_share) * left)
        for group, factor in zip(
            self.optimiser.param_groups, (1.0, config.head_factor), strict=True
        ):
            group["lr"] = config.learning_rate * factor * share

    def _optimiser(self) -> torch.optim.AdamW:
        trained = [p for p in self.network.backbone.parameters() if p.requires_grad]
        last = [*self.network.classify.parameters()]
        if self.network.field is not None:
            last += self.network.field.parameters()
        groups = [{"params": trained}, {"params": last}]
        config = self.config.optimisation
        return torch.optim.AdamW(groups, config.learning_rate, weight_decay=config.weight_decay)

    def _determine(self, epoch: int) -> np.random.Generator:
        sequence = np.random.SeedSequence([self.config.seed, self.member, epoch])
        set_determinism(self.team.own_seed(int(sequence.generate_state(1)[0])))
        return np.random.default_rng(sequence)

    def _keep(self, epoch: int, scores: dict[str, float]) -> None:
        criterion = self.config.selection.criterion
        if criterion not in scores:
            raise DataError(
                f"selection.criterion is {criterion!r}; expected one of {sorted(scores)}."
            )
        self.progress.scores.append(scores)
        if scores[criterion] > self.progress.best_score:
            self.progress.best_score, self.progress.best_epoch = scores[criterion], epoch
            self.best = copy.deepcopy(self.averaged.state_dict())

    def _save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        state = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
            "progress": asdict(self.progress),
        }
        torch.save(state, part)
        part.rename(path)

    def _restore(self, path: Path) -> None:
        # Only tensors and plain values are read: a checkpoint cannot run code.
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.best = state["best"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])


def smoothed(targets: Tensor, config: OptimisationConfig) -> Tensor:
    """Return `targets`, shape (n, labels), moved away from 0 and 1 by the label smoothing."""
    least = config.label_smoothing
    if config.loss == "cross_entropy":
        return targets * (1 - least) + least / targets.shape[1]
    return targets * (1 - 2 * least) + least


def loss_of(logits: Tensor, targets: Tensor, config: OptimisationConfig) -> Tensor:
    """Return the mean loss of `logits`, shape (n, labels), for soft `targets` of the same shape."""
    if config.loss == "cross_entropy":
        return F.cross_entropy(logits, targets)
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    if config.loss == "focal":
        # The probability that is given to what is true.
        given = torch.sigmoid(logits) * targets + torch.sigmoid(-logits) * (1 - targets)
        each = (1 - given) ** config.focal_gamma * each
    return each.mean()


def predict(
    network: ImageClassifier, config: LoopConfig, pixels: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return the logits of stored images, shape (n, labels), preprocessed as in serving."""
    network.eval()
    logits = []
    device = next(network.parameters()).device
    with torch.inference_mode(), _autocast(config.optimisation.precision, device):
        for start in range(0, len(pixels), 64):
            inputs = Prepare(config.input_spec)(pixels[start : start + 64])
            inputs = inputs.to(device).contiguous(memory_format=torch.channels_last)
            logits.append(network(inputs).float().cpu())
    return torch.cat(logits).numpy()


def weights_digest(network: nn.Module) -> str:
    """Return the SHA-256 of all weights, to compare two trainings."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _autocast(precision: str, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
