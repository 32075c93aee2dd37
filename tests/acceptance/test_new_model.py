"""A new model is a YAML file and a table: from these to an answer over HTTP, no code touched."""

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from datasets.manifest_file import read_manifest
from serving.attached import attached_service
from serving.cli.app import app
from tests.toy_people import write_toy_people
from tests.toy_tiles import made_up_tile, write_toy_tiles
from training.locked_set import FILE, LockedSet, read_locked_set
from training.registry import LOCKED_SET, Registry, open_client

# MLflow's own use of SQLAlchemy.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]


@dataclass(frozen=True)
class Made:
    """What was made of one folder of data with its two YAML files, by the commands alone."""

    folder: Path
    configuration: Path
    checked: dict[str, Any]
    manifest: dict[str, Any]
    trained: dict[str, Any]
    promoted: dict[str, Any]


def zhuzhen(*arguments: object) -> dict[str, Any]:
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert done.exit_code == 0, f"{arguments}: {done.output}"
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def make(folder: Path, configuration: Path, description: str) -> Made:
    name = configuration.stem
    return Made(
        folder,
        configuration,
        zhuzhen("data", "check", folder / description, "--out", folder / "check.html"),
        zhuzhen("data", "manifest", folder / description, "--out", folder / "manifest.parquet"),
        zhuzhen("train", configuration),
        zhuzhen("models", "promote", name),
    )


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as environment:
        folder = tmp_path_factory.mktemp("home")
        environment.setenv("ZHUZHEN_HOME", str(folder))
        environment.delenv("ZHUZHEN_DATA", raising=False)
        yield folder


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("tiles")
    return make(folder, write_toy_tiles(folder), "toy_tiles.yaml")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("people")
    return make(folder, write_toy_people(folder, 800), "toy_people.yaml")


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[httpx.Client]:
    with (
        attached_service() as service,
        httpx.Client(base_url=service.url, headers=service.headers, timeout=60) as client,
    ):
        yield client


def tile_png(seed: int, nests: bool) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(made_up_tile(seed, nests)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["tiles", "people"])
def test_one_digest_leads_from_the_data_to_the_registry(
    kind: str, home: Path, request: pytest.FixtureRequest
) -> None:
    made: Made = request.getfixturevalue(kind)
    assert made.checked["passed"]
    assert "data:image/png" in (made.folder / "check.html").read_text("utf-8") or kind == "people"
    assert made.manifest["digest"] == made.checked["digest"]
    kept = read_manifest(made.folder / "manifest.parquet", made.folder)
    assert (kept.digest, str(len(kept))) == (made.manifest["digest"], made.manifest["samples"])
    root = home / "models" / made.trained["model"] / made.trained["version"]
    evaluation = json.loads((root / "evaluation.json").read_text("utf-8"))
    assert evaluation["provenance"]["data"]["manifest_digest"] == made.manifest["digest"]
    if kind == "tiles":
        (trained_on,) = (home / "training").glob("toy-tiles-0.1.0-*/manifest.parquet")
        assert read_manifest(trained_on, made.folder).digest == made.manifest["digest"]
    told = (root / "evaluation.json").read_text("utf-8") + (root / "docs/README.md").read_text(
        "utf-8"
    )
    assert str(made.folder) not in told
    assert made.promoted["promoted"]
    assert {test["test"] for test in made.promoted["gate"] if test["passed"]} >= {
        "calibration",
        "subgroup floor",
        "parity",
        "card",
    }


@pytest.mark.parametrize("kind", ["tiles", "people"])
def test_package_of_another_machine_is_registered_with_the_same_locked_set(
    kind: str,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    made: Made = request.getfixturevalue(kind)
    name, version = made.trained["model"], made.trained["version"]
    shutil.copytree(home / "models" / name / version, tmp_path / "models" / name / version)
    before = locked_set_of(home, name)
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path))
    told = zhuzhen("models", "register", name, "--configuration", made.configuration)
    assert (told["name"], told["version"], told["digest"]) == (
        name,
        version,
        made.trained["digest"],
    )
    after = locked_set_of(tmp_path, name)
    # Its run says what it was made from, like that of its own training.
    assert provenance_of(tmp_path, name) == provenance_of(home, name)
    assert after.samples.tolist() == before.samples.tolist()
    assert after.truth.tolist() == before.truth.tolist()
    np.testing.assert_allclose(after.probability, before.probability, atol=1e-5)
    assert zhuzhen("models", "promote", name)["promoted"]
    # A second time there is nothing to do.
    assert zhuzhen("models", "register", name, "--configuration", made.configuration) == told


def test_package_is_not_registered_with_a_split_it_was_not_evaluated_on(
    home: Path, people: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = people.trained["model"]
    shutil.copytree(home / "models" / name, tmp_path / "models" / name)
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path))
    other = people.folder / "other.yaml"
    other.write_text(f"extends: {people.configuration.name}\nsplit: {{seed: 99}}\n")
    arguments = ["models", "register", name, "--configuration", str(other)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "was evaluated on the split sha256:" in " ".join(done.output.split())


def provenance_of(home: Path, name: str) -> dict[str, str]:
    run_id = Registry(home).resolve(name, "challenger").run_id
    tags = open_client(home).get_run(run_id).data.tags
    return {key: tags[key] for key in (
        "config_digest", "manifest_digest", "split_digest", "code.commit")}  # fmt: skip


def locked_set_of(home: Path, name: str) -> LockedSet:
    registry = Registry(home)
    folder = registry.artifact(registry.resolve(name, "challenger"), LOCKED_SET, home / "fetched")
    assert folder is not None
    return read_locked_set(folder / FILE)


def test_served_tiles_are_told_apart(client: httpx.Client, tiles: Made) -> None:
    probabilities = {}
    for nests in (True, False):
        response = client.post(
            "/v1/classify-pathology",
            params={"model": "toy-tiles"},
            content=tile_png(10_001 + nests, nests),
            headers={"content-type": "image/png"},
        )
        assert response.status_code == 200, response.text
        answer = response.json()
        assert answer["verdict"] == "accepted"
        assert (answer["version"], answer["digest"]) == ("0.1.0", tiles.trained["digest"])
        (finding,) = answer["findings"]
        assert finding["name"]["zh"] == "虚构细胞巢"
        probabilities[nests] = finding["probability"]
    assert probabilities[True] > probabilities[False] + 0.3


def test_served_people_are_told_apart(client: httpx.Client, people: Made) -> None:
    found = {}
    for age in (30, 80):
        response = client.post(
            "/v1/score-risk",
            json={
                "scores": "toy-risk",
                "person": {"age_years": age, "sex": "男", "sbp_mmhg": 140},
            },
        )
        assert response.status_code == 200, response.text
        (answer,) = response.json()["model_assessments"]
        assert (answer["version"], answer["digest"]) == ("0.1.0", people.trained["digest"])
        (finding,) = answer["findings"]
        assert finding["label"] == "toy_disease"
        found[age] = finding["probability"]
    assert found[80] > found[30] + 0.3


@pytest.mark.usefixtures("tiles")
def test_tile_model_through_the_command_gives_what_the_door_gives(
    client: httpx.Client, tmp_path: Path
) -> None:
    data = tile_png(77_777, True)
    (tmp_path / "tile.png").write_bytes(data)
    told = zhuzhen("predict", "toy-tiles", tmp_path / "tile.png")
    response = client.post(
        "/v1/classify-pathology?model=toy-tiles",
        content=data,
        headers={"content-type": "image/png"},
    )
    assert response.json()["findings"] == told["findings"]
