from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from models.store import CHALLENGER, CHAMPION
from training.tracking import EXPERIMENT, Tracker

# MLflow's own use of SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

MODEL = "chest"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all tests here: its tables take seconds to make."""
    return tmp_path_factory.mktemp("home")


def opened(home: Path, run_file: Path) -> Tracker:
    return Tracker(home, run_file, "chest 1.0.0")


def test_run_lies_in_one_database_under_home(home: Path, tmp_path: Path) -> None:
    tracker = opened(home, tmp_path / "run")
    run = tracker.client.get_run(tracker.run_id)
    experiment = tracker.client.get_experiment(run.info.experiment_id)
    assert (home / "mlflow/mlflow.db").is_file()
    assert experiment.name == EXPERIMENT
    assert run.info.run_name == "chest 1.0.0"
    assert run.info.status == "RUNNING"
    assert run.info.artifact_uri.startswith((home / "mlflow/artifacts").resolve().as_uri())
    second = opened(home, tmp_path / "second")
    again = second.client.get_run(second.run_id)
    assert again.info.experiment_id == run.info.experiment_id
    assert second.run_id != tracker.run_id


def test_configuration_is_flat_parameters(home: Path, tmp_path: Path) -> None:
    tracker = opened(home, tmp_path / "run")
    many = {f"p{number:03}": number for number in range(120)}
    tracker.describe(
        {"loop": {"epochs": 4, "rates": (1, 2)}, "text": "x" * 900, **many},
        {"code": {"commit": "abc"}, "digest": "sha256:1"},
    )
    data = tracker.client.get_run(tracker.run_id).data
    assert data.params["loop.epochs"] == "4"
    assert data.params["loop.rates"] == "(1, 2)"
    assert data.params["text"] == "x" * 500
    assert sum(name.startswith("p") for name in data.params) == 120
    assert data.tags["code.commit"] == "abc"
    assert data.tags["digest"] == "sha256:1"


def test_figures_are_curves(home: Path, tmp_path: Path) -> None:
    tracker = opened(home, tmp_path / "run")
    for epoch, value in enumerate((0.5, 0.7, 0.9)):
        tracker.figures({"member_0_auc": value}, step=epoch)
    history = tracker.client.get_metric_history(tracker.run_id, "member_0_auc")
    assert [(point.step, point.value) for point in history] == [(0, 0.5), (1, 0.7), (2, 0.9)]


@pytest.mark.parametrize(("succeeded", "status"), [(True, "FINISHED"), (False, "FAILED")])
def test_closed_run_says_how_it_ended(
    home: Path, tmp_path: Path, succeeded: bool, status: str
) -> None:
    tracker = opened(home, tmp_path / "run")
    tracker.finish(succeeded)
    assert tracker.client.get_run(tracker.run_id).info.status == status


def test_resumed_training_takes_up_its_run(home: Path, tmp_path: Path) -> None:
    first = opened(home, tmp_path / "run")
    first.describe({"seed": 1}, {"code": {"commit": "abc"}})
    first.figures({"auc": 0.5}, step=0)
    first.finish(succeeded=False)
    second = opened(home, tmp_path / "run")
    assert second.run_id == first.run_id
    assert second.client.get_run(second.run_id).info.status == "RUNNING"
    # The same configuration is recorded again, by code that may have moved on.
    second.describe({"seed": 1}, {"code": {"commit": "def"}})
    second.figures({"auc": 0.5}, step=0)
    second.figures({"auc": 0.6}, step=1)
    second.finish(succeeded=True)
    run = second.client.get_run(second.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "1"}
    assert run.data.tags["code.commit"] == "def"
    history = second.client.get_metric_history(second.run_id, "auc")
    assert [(point.step, point.value) for point in history] == [(0, 0.5), (1, 0.6)]


def test_run_of_a_lost_registry_is_started_anew(home: Path, tmp_path: Path) -> None:
    run_file = tmp_path / "run"
    run_file.write_text("0" * 32 + "\n", encoding="utf-8")
    tracker = opened(home, run_file)
    assert tracker.client.get_run(tracker.run_id).info.status == "RUNNING"
    assert run_file.read_text(encoding="utf-8").strip() == tracker.run_id


def test_newest_version_challenges_and_none_serves_by_itself(home: Path, tmp_path: Path) -> None:
    tracker = opened(home, tmp_path / "run")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "card.md").write_text("card", encoding="utf-8")
    tracker.files(tmp_path / "package", "package")
    client: MlflowClient = tracker.client

    def challenger() -> int:
        return int(client.get_model_version_by_alias(MODEL, CHALLENGER).version)

    assert tracker.register(MODEL, "sha256:1", "1.0.0") == 1
    assert challenger() == 1
    version = client.get_model_version(MODEL, "1")
    assert version.run_id == tracker.run_id
    assert version.tags == {"package_digest": "sha256:1", "package_version": "1.0.0"}
    source = Path(str(version.source).removeprefix("file://"))
    assert (source / "card.md").read_text(encoding="utf-8") == "card"

    # The same package is one version, however often its training is run.
    assert tracker.register(MODEL, "sha256:1", "1.0.0") == 1
    assert tracker.register(MODEL, "sha256:2", "1.1.0") == 2
    assert challenger() == 2
    with pytest.raises(MlflowException):
        client.get_model_version_by_alias(MODEL, CHAMPION)
    assert len(client.search_model_versions(f"name = '{MODEL}'")) == 2
