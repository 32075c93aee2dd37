"""`zhuzhen train --search`: trials pruned, killed, taken up again, and the best written."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import yaml
from mlflow.entities import Run
from typer.testing import CliRunner

from models.errors import DataError
from serving.cli.app import app
from tests.toy_people import write_toy_people
from tests.training_samples import Quiet
from training import search as searching
from training.config import ConfigError, load_any_config
from training.pipeline import Places
from training.registry import open_client
from training.search_space import SearchConfig, distributions
from training.tables.config import TableConfig
from training.tracking import EXPERIMENT

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
ROOT = Path(__file__).resolve().parents[3]
PARENT = "mlflow.parentRunId"
SPACE = {"model.knots": {"low": 2, "high": 4}, "model.folds": {"choices": [2, 3]}}

KILLED = """
import os, signal, sys
from pathlib import Path
from tests.training_samples import Quiet
from training.pipeline import Places
from training.search import search

class KilledInTheThirdTrial(Quiet):
    def stage(self, text):
        super().stage(text)
        if text.startswith("trial 3"):
            os.kill(os.getpid(), signal.SIGKILL)

folder, home = map(Path, sys.argv[1:])
places = Places(folder, home, home / "models")
search(str(folder / "searched.yaml"), 4, places, KilledInTheThirdTrial(), folder / "best.yaml")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    write_toy_people(folder)
    write(folder, SPACE)
    return folder


def write(folder: Path, space: dict[str, Any], **more: Any) -> Path:
    path = folder / "searched.yaml"
    content = {"extends": "toy-risk.yaml", "search": {"space": space, **more}}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def runs(home: Path) -> list[Run]:
    client = open_client(home)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def test_killed_search_goes_on_as_if_it_was_not(folder: Path, tmp_path: Path) -> None:
    whole = Places(folder, tmp_path / "whole", tmp_path / "whole" / "models")
    expected = searching.search(
        str(folder / "searched.yaml"), 4, whole, Quiet(), tmp_path / "best.yaml"
    )
    home = tmp_path / "killed"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), str(home)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    watch = Quiet()
    places = Places(folder, home, home / "models")
    best = tmp_path / "again.yaml"
    found = searching.search(str(folder / "searched.yaml"), 4, places, watch, best)
    # The third was running: it is failed, and tried again under the next number.
    assert [text[:7] for text in watch.stages[::2]] == ["trial 4", "trial 5"]
    assert found.trials == expected.trials == 4
    assert (found.score, found.values) == (expected.score, expected.values)
    assert found.score >= 0.75

    all_runs = runs(home)
    (parent,) = [run for run in all_runs if PARENT not in run.data.tags]
    children = [run for run in all_runs if PARENT in run.data.tags]
    assert {run.data.tags[PARENT] for run in children} == {parent.info.run_id}
    assert parent.data.metrics["auc"] == found.score
    assert max(run.data.metrics["auc"] for run in children) == found.score

    config = load_any_config(str(best))
    assert isinstance(config, TableConfig)
    assert config.model.knots == found.values["model.knots"]
    assert config.name == "toy-risk"
    assert "of 4 trials" in best.read_text("utf-8")


def test_first_trials_are_spread_over_the_space() -> None:
    seeds = [searching.trial_seed(1, finished) for finished in range(4)]
    drawn = [np.random.RandomState(seed).uniform() for seed in seeds]
    assert max(drawn) - min(drawn) > 0.4


def test_command_searches_and_tells_what_to_do_next(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path / "home"))
    best = tmp_path / "best.yaml"
    arguments = ["train", str(folder / "searched.yaml"), "--search", "1", "--best", str(best)]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["trials"], told["configuration"]) == (1, str(best))
    assert told["values"].keys() == SPACE.keys()
    assert not (tmp_path / "home" / "models").exists()
    # The same again has nothing to do, and says in words what was best.
    done = CliRunner().invoke(app, arguments)
    assert f"model.knots {told['values']['model.knots']}" in done.stdout


def test_lagging_trial_is_pruned(tmp_path: Path) -> None:
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=1)
    )
    for score in (0.9, 0.2):
        trial = study.ask()
        reporting = searching.Reporting(Quiet(), _report(trial, score))
        if score < 0.5:
            with pytest.raises(optuna.TrialPruned):
                reporting.epoch(0, 0, {"auc": score})
        else:
            reporting.epoch(0, 0, {"auc": score})
            study.tell(trial, score)


def _report(trial: optuna.Trial, score: float) -> searching.Report:
    def report(step: int, scores: Any) -> None:
        trial.report(scores["auc"], step)
        if trial.should_prune():
            raise optuna.TrialPruned

    return report


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({}, "has no search.space"),
        ({"model.knots": {"low": 2}}, "expected `low` and `high`"),
        ({"model.knots": {"low": 4, "high": 2}}, r"model\.knots is"),
        ({"model.depth": {"low": 2, "high": 3}}, "unknown key 'depth'"),
    ],
)
def test_space_that_is_not_understood_is_named(
    folder: Path, tmp_path: Path, space: dict[str, Any], told: str
) -> None:
    path = tmp_path / "searched.yaml"
    content = {"extends": str(folder / "toy-risk.yaml"), "search": {"space": space}}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    places = Places(folder, tmp_path, tmp_path / "models")
    with pytest.raises((DataError, ConfigError), match=told):
        searching.search(str(path), 1, places, Quiet(), tmp_path / "best.yaml")


def test_whole_numbers_stay_whole() -> None:
    space = {"a.b": {"low": 1, "high": 8, "log": True}, "a.c": {"low": 0.0, "high": 1.0}}
    found = distributions(SearchConfig(space=space))
    assert [type(each).__name__ for each in found.values()] == [
        "IntDistribution",
        "FloatDistribution",
    ]
