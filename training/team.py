"""Several processes that train one model together: PyTorch's distributed data parallel.

    torchrun --standalone --nproc-per-node 2 --no-python zhuzhen train MODEL

Every process draws the same batches and takes its own share of each, so that together they see what
one process alone would see, and gradients are the mean over all shares. The first process leads: it
alone judges, writes and registers. One process alone is a team of one, for which nothing here costs
anything. A graphics processor is used where there is one, a process each.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from models.errors import DataError

_LONGEST_WAIT = timedelta(hours=12)
"""For the leader, which decodes all images before anybody trains."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Team:
    """This process's place among those that train together."""

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def leads(self) -> bool:
        """Whether this process judges and writes."""
        return self.rank == 0

    def share(self, batch: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return this process's part of the positions that all have drawn.

        Raises:
            DataError: they cannot be shared evenly, so that a mean of means would not be the mean.
        """
        if len(batch) % self.size:
            raise DataError(
                f"A batch of {len(batch)} images cannot be shared evenly by {self.size} processes; "
                "make sampling.batch_images a multiple of them, or start fewer."
            )
        return batch[self.rank :: self.size]

    def own_seed(self, seed: int) -> int:
        """Return what seeds dropout and augmentation here: for the leader, `seed` itself."""
        if self.leads:
            return seed
        return int(np.random.SeedSequence([seed, self.rank]).generate_state(1)[0])

    def own_generator(self, rng: np.random.Generator) -> np.random.Generator:
        """Return what changes this process's share; `rng` goes on alike in all of them."""
        return rng if self.size == 1 else rng.spawn(self.size)[self.rank]

    def joined(self, network: nn.Module) -> nn.Module:
        """Return `network` as what averages its gradients over the team."""
        if self.size == 1:
            return network
        where = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=where)

    def told(self, value: T) -> T:
        """Return what the leader has for `value`."""
        if self.size == 1:
            return value
        held = [value]
        distributed.broadcast_object_list(held, src=0, device=self.device)
        return held[0]

    def mean(self, value: float) -> float:
        """Return the mean of `value` over the team."""
        if self.size == 1:
            return value
        held = torch.tensor([value], dtype=torch.float64, device=self.device)
        distributed.all_reduce(held)
        return float(held.item()) / self.size

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.size > 1:
            distributed.barrier()


ALONE = Team()
"""A process that trains by itself, on the processor."""


@contextmanager
def assembled(environment: Mapping[str, str] = os.environ) -> Iterator[Team]:
    """Join the team that `torchrun` has started, or be a team of one."""
    device = _device(int(environment.get("LOCAL_RANK", "0")))
    if int(environment.get("WORLD_SIZE", "1")) == 1:
        yield Team(device=device)
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=_LONGEST_WAIT)
    try:
        yield Team(distributed.get_rank(), distributed.get_world_size(), device)
    finally:
        distributed.destroy_process_group()


def _device(local_rank: int) -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", local_rank % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device
