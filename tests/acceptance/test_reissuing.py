"""A version whose card says more, with the networks of the one before, to the byte."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from models.package import CALIBRATION, CARD, EVALUATION, METADATA, ONNX, REFERENCE, ModelPackage
from serving.cli.app import app
from tests.toy_tiles import write_toy_tiles
from training.registry import Registry

# MLflow's own use of SQLAlchemy.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]
NAME = "toy-tiles"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Trained:
    home: Path
    folder: Path
    digest: str

    def configured(self, name: str, **changes: Any) -> Path:
        path = self.folder / f"{name}.yaml"
        content = {"extends": "toy-tiles.yaml", **changes}
        path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        return path

    def root(self, version: str) -> Path:
        return self.home / "models" / NAME / version


def zhuzhen(*arguments: object) -> dict[str, Any]:
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def reissue(model: str, configuration: Path) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "training.reissuing", model]
    command += ["--configuration", str(configuration)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, " ".join(done.stderr.split())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """A first version, which is the champion."""
    with pytest.MonkeyPatch.context() as environment:
        home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("toy")
        environment.setenv("ZHUZHEN_HOME", str(home))
        environment.delenv("ZHUZHEN_DATA", raising=False)
        first = zhuzhen("train", write_toy_tiles(folder, 160))
        zhuzhen("models", "promote", NAME)
        yield Trained(home, folder, first["digest"])


def test_networks_and_figures_are_taken_over_and_the_card_is_new(trained: Trained) -> None:
    package: dict[str, Any] = {
        "changelog": {"0.1.1": "The same networks; the card says more."},
        "limits": ["It knows made-up tiles alone."],
    }
    configuration = trained.configured("new-card", version="0.1.1", package=package)
    status, told, problem = reissue(f"{NAME}@0.1.0", configuration)
    assert status == 0, problem
    made = ModelPackage.load(trained.root("0.1.1"))
    assert told.split() == [NAME, "0.1.1", made.reference_to.digest]
    for name in (ONNX, CALIBRATION, REFERENCE, "models/model.int8.onnx", "docs/heatmaps.png"):
        files = [trained.root(version) / name for version in ("0.1.0", "0.1.1")]
        assert files[0].read_bytes() == files[1].read_bytes(), name
    before, now = (
        json.loads((trained.root(version) / EVALUATION).read_text("utf-8"))
        for version in ("0.1.0", "0.1.1")
    )
    assert now["test"] == before["test"]
    assert now["version"] == "0.1.1"
    taken_over = now["provenance"]["taken_over"]
    assert (taken_over["version"], taken_over["digest"]) == ("0.1.0", trained.digest)
    stated = before["provenance"]["configuration_digest"]
    assert taken_over["configuration_digest"] == stated != now["provenance"]["configuration_digest"]
    card = (trained.root("0.1.1") / CARD).read_text("utf-8")
    assert card.startswith("# toy-tiles 0.1.1\n")
    assert "It knows made-up tiles alone." in card
    assert f"are those of toy-tiles 0.1.0 `{trained.digest}`" in card
    # Its champion has the same networks: there is nothing to compare.
    assert "It was not held against it: Its networks are the same, to the byte" in card
    metadata = json.loads((trained.root("0.1.1") / METADATA).read_text("utf-8"))
    assert "0.1.1" in metadata["changelog"]
    assert zhuzhen("models", "promote", NAME)["version"] == "0.1.1"


def test_taken_over_version_is_taken_over_again(trained: Trained) -> None:
    package = {
        "changelog": {"0.1.1": "The same networks; the card says more.", "0.1.2": "Again."},
        "limits": ["It knows made-up tiles alone.", "And few of them."],
    }
    configuration = trained.configured("again", version="0.1.2", package=package)
    status, _, problem = reissue(f"{NAME}@0.1.1", configuration)
    assert status == 0, problem
    assert Registry(trained.home).resolve(NAME, "challenger").version == "0.1.2"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"version": "0.2.0", "seed": 2}, "makes other networks than those of toy-tiles 0.1.0"),
        ({}, "Raise `version` and say under `package.changelog` what is new"),
    ],
    ids=["another-seed", "no-new-version"],
)
def test_what_would_be_another_model_is_refused(
    trained: Trained, changes: dict[str, Any], told: str
) -> None:
    status, stdout, problem = reissue(f"{NAME}@0.1.0", trained.configured("other", **changes))
    assert (status, stdout) == (1, "")
    assert told in problem
    assert not trained.root("0.2.0").exists()
