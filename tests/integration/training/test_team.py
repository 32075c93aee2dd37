"""Two processes that train together see, and end in, what one process alone does."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import DataError
from tests.kermany_samples import write_kermany
from tests.training_samples import Quiet, tiny_config, tiny_study
from training.config import TrainConfig
from training.loop import OptimisationConfig
from training.lungs import LungConfig
from training.members import train_members
from training.team import Team

ROOT = Path(__file__).resolve().parents[3]
TORCHRUN = Path(sys.executable).with_name("torchrun")

TOGETHER = """
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[3])
from test_team import plain_config
from tests.training_samples import Quiet, tiny_study
from training import team as teams
from training.members import train_members

seen = []
class Recording(teams.Team):
    def share(self, batch):
        own = super().share(batch)
        seen.append(own.tolist())
        return own

teams.Team = Recording
data, folder = map(Path, sys.argv[1:3])
config = plain_config()
with teams.assembled() as team:
    own = folder / f"rank-{team.rank}"
    own.mkdir()
    train_members(config, tiny_study(config, data), own, Quiet(), team)
    np.save(own / "seen.npy", np.array(seen))
"""


def plain_config() -> TrainConfig:
    """One epoch of two batches, without anything that each process draws for itself."""
    config = tiny_config(epochs=1)
    return replace(
        config,
        network=replace(config.network, dropout=0.0, drop_path=0.0),
        # Each process would cover and transplant chests of its own share.
        lungs=LungConfig(),
        augmentation=replace(config.augmentation, strength=0.0),
        sampling=replace(config.sampling, images_per_epoch=32, batch_images=16),
        optimisation=OptimisationConfig(
            epochs=1, learning_rate=5e-4, ema_decay=0.7, threads=1, precision="float32"
        ),
    )


def test_two_processes_see_and_learn_what_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_kermany(tmp_path / "data", patients=24)
    config = plain_config()
    study = tiny_study(config, data)
    drawn: list[list[int]] = []

    def recorded(self: Team, batch: np.ndarray) -> np.ndarray:
        drawn.append(batch.tolist())
        return batch

    monkeypatch.setattr(Team, "share", recorded)
    train_members(config, study, tmp_path / "alone", Quiet())

    script = tmp_path / "together.py"
    script.write_text(TOGETHER, encoding="utf-8")
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [TORCHRUN, "--standalone", "--nproc-per-node", "2", script, data, tmp_path, here],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shares = [np.load(tmp_path / f"rank-{rank}" / "seen.npy") for rank in (0, 1)]
    together = np.stack(shares, axis=2).reshape(len(drawn), -1)
    assert together.tolist() == drawn
    # The leader alone writes a checkpoint, and it is the single process's.
    assert not list((tmp_path / "rank-1").glob("*.pt"))
    one, two = (
        torch.load(tmp_path / folder / "member-0.pt", weights_only=True)
        for folder in ("alone", "rank-0")
    )
    for name, value in one["network"].items():
        # Of balanced classes the first gradient of the bias is 0 but for rounding, and Adam divides
        # it by its own size.
        slack = 1e-3 if name == "classify.bias" else 1e-5
        torch.testing.assert_close(two["network"][name], value, rtol=1e-3, atol=slack)
    assert two["progress"]["scores"][0]["auc"] == pytest.approx(
        one["progress"]["scores"][0]["auc"], abs=0.02
    )


def test_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    team = Team(rank=1, size=2)
    assert team.share(np.arange(6)).tolist() == [1, 3, 5]
    with pytest.raises(DataError, match=r"make sampling\.batch_images a multiple"):
        team.share(np.arange(7))


def test_each_process_has_seeds_of_its_own_and_the_leader_those_of_one_alone() -> None:
    assert Team().own_seed(5) == Team(rank=0, size=2).own_seed(5) == 5
    assert len({Team(rank=rank, size=3).own_seed(5) for rank in range(3)}) == 3
