"""`zhuzhen train`, as a user runs it: from images to a package that predicts, in two minutes."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from datasets.images import decoded
from datasets.reading import read
from models.package import CARD, EVALUATION, ONNX, ModelPackage, verify
from models.preprocessing import prepare
from models.store import CHALLENGER
from training.tracking import EXPERIMENT

ROOT = Path(__file__).resolve().parents[2]
ZHUZHEN = Path(sys.executable).with_name("zhuzhen")
CONFIGURATION, NAME, VERSION = "chest-xray-pneumonia-quick", "chest-xray-pneumonia", "0.0.2"
DATA_SET = "chest_xray_kermany"

pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
    pytest.mark.skipif(
        not (Path(os.environ.get("ZHUZHEN_DATA", "")) / DATA_SET).is_dir(),
        reason=f"{DATA_SET} is not under ZHUZHEN_DATA: there is nothing to train on",
    ),
]


@dataclass(frozen=True)
class Trained:
    home: Path
    out: Path
    told: dict[str, Any]
    stderr: str

    @property
    def root(self) -> Path:
        return self.out / NAME / VERSION

    @property
    def evaluation(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.root / EVALUATION).read_text(encoding="utf-8"))
        return content


def train(home: Path, out: Path) -> Trained:
    done = subprocess.run(
        [ZHUZHEN, "train", CONFIGURATION, "--out", out, "--json"],
        cwd=ROOT,
        env={**os.environ, "ZHUZHEN_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Trained(home, out, json.loads(done.stdout), done.stderr)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def package(trained: Trained) -> ModelPackage:
    return ModelPackage.load(trained.root)


def runs(home: Path) -> list[Run]:
    client = MlflowClient(f"sqlite:///{home / 'mlflow/mlflow.db'}")
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def test_package_verifies_and_is_the_one_that_was_told(trained: Trained) -> None:
    assert trained.told == {"model": NAME, "version": VERSION, "digest": verify(trained.root)}


def test_package_predicts_as_it_was_evaluated(trained: Trained, package: ModelPackage) -> None:
    """Read the images again, run the released graph, and find the calibrated accuracy."""
    manifest = read(DATA_SET, Path(os.environ["ZHUZHEN_DATA"]))
    few = manifest.subset(np.arange(0, len(manifest), len(manifest) // 160))
    pixels = decoded(few, 224, trained.home / "cache")
    session = ort.InferenceSession(str(package.onnx_path), providers=["CPUExecutionProvider"])
    inputs = np.stack([prepare(image, package.input_spec) for image in pixels])
    logits, activation_map, embedding = session.run(None, {"image": inputs})
    (label,) = package.labels
    probability = np.array([label.calibration.probability(float(x)) for x in logits[:, 0]])
    called = probability >= label.calibration.operating_point
    truth = few.targets()[:, 0].astype(bool)
    assert (called == truth).mean() > 0.75
    assert probability[truth].mean() > probability[~truth].mean() + 0.2
    side = package.input_spec.side_px
    assert activation_map.shape[1:] == (1, side // 32, side // 32)
    # Images are of the kind the model was made for; noise is not.
    assert (package.reference.score(embedding) > 1).mean() < 0.1
    noise = np.random.default_rng(0).integers(0, 256, (500, 500), dtype=np.uint8)
    strange = prepare(noise, package.input_spec)[np.newaxis]
    assert package.reference.score(session.run(["embedding"], {"image": strange})[0])[0] > 1


def test_evaluation_has_figures_with_intervals(trained: Trained) -> None:
    evaluation = trained.evaluation
    for part in ("validation", "test"):
        figures = evaluation[part]["figures"]
        assert set(figures) >= {"auc", "accuracy", "sensitivity", "specificity"}
        for name, figure in figures.items():
            assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1, (part, name)
            assert figure["low"] < figure["high"], (part, name)
    assert evaluation["test"]["figures"]["auc"]["value"] > 0.8
    assert evaluation["test"]["subgroups"].keys() == {"bacteria", "virus"}
    assert evaluation["int8"]["accepted"] is (trained.root / "models/model.int8.onnx").exists()
    worst = evaluation["export"]["largest_differences"]
    assert 0 < worst["logits"] < evaluation["export"]["tolerances"]["logits_tolerance"]


def test_evaluation_says_what_it_was_made_from_and_names_no_patient(trained: Trained) -> None:
    provenance = trained.evaluation["provenance"]
    for digest in (
        provenance["configuration_digest"],
        provenance["data"]["manifest_digest"],
        provenance["data"]["split_digest"],
    ):
        assert digest.startswith("sha256:")
    images = provenance["data"]["images"]
    assert sum(images.values()) >= 360
    manifest = read(DATA_SET, Path(os.environ["ZHUZHEN_DATA"]))
    told = (trained.root / EVALUATION).read_text(encoding="utf-8")
    told += (trained.root / CARD).read_text(encoding="utf-8")
    assert not [group for group in set(manifest.groups().tolist()) if f'"{group}"' in told]
    assert "jpeg" not in told
    assert str(trained.home) not in told


def test_card_shows_the_measured_figures(trained: Trained) -> None:
    card = (trained.root / CARD).read_text(encoding="utf-8")
    area = trained.evaluation["test"]["figures"]["auc"]
    assert f"{area['value']:.3f} ({area['low']:.3f}-{area['high']:.3f})" in card
    assert "未经医疗器械注册审批" in card
    for figure in (trained.root / "docs").glob("*.png"):
        assert f"({figure.name})" in card


def test_run_is_tracked_and_its_package_registered(trained: Trained) -> None:
    (run,) = runs(trained.home)
    assert run.info.status == "FINISHED"
    assert run.data.params["optimisation.epochs"] == "3"
    assert run.data.metrics["test_auc"] == trained.evaluation["test"]["figures"]["auc"]["value"]
    client = MlflowClient(f"sqlite:///{trained.home / 'mlflow/mlflow.db'}")
    curve = client.get_metric_history(run.info.run_id, "member_0_shifted_auc")
    assert [point.step for point in curve] == [0, 1, 2]
    version = client.get_model_version_by_alias(NAME, CHALLENGER)
    assert version.tags["package_digest"] == trained.told["digest"]
    source = Path(str(version.source).removeprefix("file://"))
    assert verify(source) == trained.told["digest"]


def test_running_it_again_continues_and_gives_the_same_package(
    trained: Trained, tmp_path: Path
) -> None:
    checkpoints = {path: path.stat().st_mtime_ns for path in trained.home.rglob("member-*.pt")}
    again = train(trained.home, tmp_path)
    assert checkpoints == {path: path.stat().st_mtime_ns for path in checkpoints}
    first, second = trained.evaluation, again.evaluation
    for evaluation in (first, second):
        # The code may be committed between the two runs.
        del evaluation["provenance"]["code"]
    assert second == first
    assert (again.root / ONNX).read_bytes() == (trained.root / ONNX).read_bytes()
    (run,) = runs(trained.home)
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("no-such-model",), "no training configuration 'no-such-model'"),
        ((CONFIGURATION, "--data", "/no/such/folder"), "ZHUZHEN_DATA or --data"),
    ],
)
def test_mistake_is_told_in_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    done = subprocess.run(
        [ZHUZHEN, "train", *arguments, "--out", tmp_path],
        cwd=ROOT,
        env={**os.environ, "ZHUZHEN_HOME": str(tmp_path), "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
