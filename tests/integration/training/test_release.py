"""Register, promote, pull, roll back and compare, on a real registry."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from mlflow import MlflowClient
from typer.testing import CliRunner

from models import store
from models.errors import PackageNotFoundError, PackageTamperedError
from models.package import verify
from serving.shelf import Shelf
from tests.package_samples import NAME
from tests.release_samples import (
    CARD_TEXT,
    EVALUATED,
    made_up_locked_set,
    register_version,
    without,
)
from training import release_command
from training.locked_set import LockedSet
from training.registry import Registry, ReleaseError, open_client

# MLflow's own use of SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

GOOD = made_up_locked_set(0.6)


@pytest.fixture(scope="module")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry whose database was migrated once, which takes most of a test's time."""
    folder = tmp_path_factory.mktemp("registry")
    open_client(folder).search_experiments()
    return folder / "mlflow" / "mlflow.db"


@pytest.fixture
def home(tmp_path: Path, empty_registry: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "mlflow").mkdir(parents=True)
    shutil.copy(empty_registry, tmp_path / "home" / "mlflow")
    return tmp_path / "home"


def a_little_better(kept: LockedSet) -> LockedSet:
    return replace(kept, probability=0.98 * kept.probability + 0.02 * kept.truth)


def run(command: Any, *arguments: str) -> tuple[int, str, str]:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout, done.stderr


def gate(*arguments: str) -> tuple[bool, dict[str, dict[str, Any]]]:
    _, told, problem = run(release_command.promote, NAME, "--json", *arguments)
    assert told, problem
    assert problem == ""
    answer = json.loads(told)
    return answer["promoted"], {each["test"]: each for each in answer["gate"]}


def test_from_challenger_to_champion_and_back_under_a_running_service(home: Path) -> None:
    first = register_version(home, "1.0.0", GOOD)
    assert gate()[0]
    shelf = Shelf()
    assert shelf.recognizer(NAME).package.reference_to.digest == first

    second = register_version(home, "1.1.0", a_little_better(GOOD))
    assert shelf.follow_once() == []
    assert gate()[0]
    assert shelf.follow_once() == [NAME]
    ready = shelf.ready(NAME)
    assert ready is not None
    assert ready.package.reference_to.digest == second

    status, told, _ = run(release_command.rollback, NAME, "--by", "duty physicist")
    assert (status, "1.0.0 is the champion again" in told) == (0, True)
    assert shelf.follow_once() == [NAME]
    ready = shelf.ready(NAME)
    assert ready is not None
    assert ready.package.reference_to.digest == first

    status, told, _ = run(release_command.history, NAME, "--json")
    rows = [json.loads(line) for line in told.splitlines()]
    assert [(row["action"], row["version"]) for row in rows] == [
        ("promote", "1.0.0"),
        ("promote", "1.1.0"),
        ("rollback", "1.0.0"),
    ]
    assert rows[2]["by"] == "duty physicist"
    status, _, told = run(release_command.rollback, NAME)
    assert (status, "nothing to roll back" in told) == (1, True)


def test_worse_challenger_is_refused_and_told_by_how_much(home: Path) -> None:
    register_version(home, "1.0.0", GOOD)
    assert gate()[0]
    register_version(home, "1.1.0", made_up_locked_set(1.6, seed=3))
    promoted, told = gate()
    assert not promoted
    assert not told["non-inferiority"]["passed"]
    assert "auc of pneumonia goes from" in told["non-inferiority"]["told"]
    assert "it fails by 0." in told["non-inferiority"]["told"]
    assert store.load(NAME).reference_to.version == "1.0.0"
    champion = Registry(home).champion(NAME)
    assert champion is not None
    assert champion.version == "1.0.0"
    # Who asks later why it did not become champion finds it.
    kept = Registry(home).history(NAME)
    assert [(each.action, each.version) for each in kept] == [
        ("promote", "1.0.0"),
        ("refuse", "1.1.0"),
    ]
    assert "non-inferiority: FAILED (auc of pneumonia goes from" in kept[1].gate


def shifted(kept: LockedSet) -> LockedSet:
    """Ranks as before, probabilities far too high."""
    return replace(kept, probability=kept.probability**0.2)


def blind_in_a_clinic(kept: LockedSet) -> LockedSet:
    rng = np.random.default_rng(4)
    probability = kept.probability.copy()
    at = kept.subgroups["site"] == "clinic"
    probability[at] = rng.uniform(size=(int(at.sum()), 1))
    return replace(kept, probability=probability)


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("calibration", {"kept": shifted(GOOD)}, "calibration error of pneumonia is"),
    ("subgroup floor", {"kept": blind_in_a_clinic(GOOD)}, "where site is clinic is"),
    (
        "parity",
        {"evaluation": {**EVALUATED, "export": {
            "largest_differences": {"logits": 0.5}, "tolerances": {"logits_tolerance": 1e-4}}}},
        "logits differs by 0.5, at most 0.0001 is accepted",
    ),
    ("parity", {"evaluation": {"int8": EVALUATED["int8"]}}, "has no parity"),
    (
        "INT8",
        {"evaluation": {**EVALUATED, "int8": {"accepted": False, "reason": "AUC falls by 0.02"}}},
        "AUC falls by 0.02",
    ),
    ("card", {"card": CARD_TEXT.replace("## Limits", "")}, "lacks a section on limit"),
    ("card", {"card": CARD_TEXT + "![roc](roc.png)"}, "roc.png"),
]  # fmt: skip


@pytest.mark.parametrize(("test", "changed", "told"), BAD)
def test_each_test_of_the_gate_refuses_with_its_reason(
    home: Path, test: str, changed: dict[str, Any], told: str
) -> None:
    register_version(home, "1.0.0", changed.pop("kept", GOOD), **changed)
    promoted, verdicts = gate()
    assert not promoted
    assert not verdicts[test]["passed"]
    assert told in verdicts[test]["told"]
    with pytest.raises(PackageNotFoundError):
        store.load(NAME)


def test_another_locked_set_is_no_comparison(home: Path) -> None:
    register_version(home, "1.0.0", GOOD)
    assert gate()[0]
    register_version(home, "1.1.0", without(GOOD, 5))
    status, _, told = run(release_command.promote, NAME)
    assert status == 1
    assert "5 of the 300 samples of the locked set are not in" in told


def test_changed_package_is_never_promoted_or_pulled(home: Path) -> None:
    register_version(home, "1.0.0", GOOD)
    (graph,) = (home / "mlflow" / "artifacts").rglob("model.onnx")
    graph.write_bytes(graph.read_bytes() + b"x")
    for command in (release_command.promote, release_command.pull):
        arguments = [NAME] if command is release_command.promote else [NAME, "--alias", "1.0.0"]
        status, _, told = run(command, *arguments)
        assert status == 1
        assert "model.onnx has SHA-256" in told
    assert store.versions().get(NAME) is None
    assert not list((home / "models").glob(".incoming*"))


def test_resealed_package_is_not_what_was_registered(home: Path) -> None:
    from models.package import CARD, seal

    register_version(home, "1.0.0", GOOD)
    (card,) = (home / "mlflow" / "artifacts").rglob(Path(CARD).name)
    card.write_text(CARD_TEXT + "better than it is", encoding="utf-8")
    seal(card.parents[1])
    registry = Registry(home)
    with (
        pytest.raises(PackageTamperedError, match="not the package that was trained"),
        registry.package(registry.resolve(NAME, "1.0.0")),
    ):
        pass


def test_store_with_another_package_of_that_version_is_left_alone(home: Path) -> None:
    register_version(home, "1.0.0", GOOD)
    registry = Registry(home)
    folder = registry.pull(registry.resolve(NAME, "1.0.0"), store.CHALLENGER)
    assert verify(folder) == registry.resolve(NAME, "challenger").digest
    register_version(home, "1.0.1", GOOD, card=CARD_TEXT + "\n")
    (home / "models" / NAME / "1.0.1").mkdir()
    for path in folder.rglob("*"):
        if path.is_file():
            target = home / "models" / NAME / "1.0.1" / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    with pytest.raises(PackageTamperedError, match="not the package that was trained"):
        registry.pull(registry.resolve(NAME, "1.0.1"), store.CHAMPION)
    # Nor is it promoted in the registry, where the service could not follow.
    status, _, problem = run(release_command.promote, NAME)
    assert (status, "a version is one package" in problem) == (1, True)
    assert registry.champion(NAME) is None
    assert registry.history(NAME) == []


def test_package_that_was_changed_in_the_store_is_pulled_again(home: Path) -> None:
    digest = register_version(home, "1.0.0", GOOD)
    folder = home / "models" / NAME / "1.0.0"
    assert gate()[0]
    (folder / "calibration.json").write_text("{}", encoding="utf-8")
    with pytest.raises(PackageTamperedError, match="fetch it again"):
        store.load(NAME)
    status, _, problem = run(release_command.pull, NAME)
    assert status == 0, problem
    assert store.load(NAME).reference_to.digest == digest
    assert (folder.with_name(".1.0.0.changed") / "calibration.json").read_text("utf-8") == "{}"
    assert list(store.versions()[NAME]) == ["1.0.0"]


def test_rollback_brings_back_a_package_that_was_changed_in_the_store(home: Path) -> None:
    first = register_version(home, "1.0.0", GOOD)
    assert gate()[0]
    register_version(home, "1.1.0", a_little_better(GOOD))
    assert gate()[0]
    (home / "models" / NAME / "1.0.0" / "calibration.json").unlink()
    status, _, problem = run(release_command.rollback, NAME)
    assert status == 0, problem
    assert store.load(NAME).reference_to.digest == first


def promoted_in_turn(home: Path, versions: int) -> Registry:
    """Return a registry whose versions 1.0.0, 1.1.0, ... were all promoted, one after another."""
    registry = Registry(home)
    for minor in range(versions):
        register_version(home, f"1.{minor}.0", GOOD)
        registry.promote(registry.resolve(NAME, f"1.{minor}.0"), "passed")
    return registry


def test_changed_package_is_not_rolled_back_to(home: Path) -> None:
    registry = promoted_in_turn(home, 2)
    run_id = registry.resolve(NAME, "1.0.0").run_id
    (graph,) = (home / "mlflow" / "artifacts" / run_id).rglob("model.onnx")
    graph.write_bytes(graph.read_bytes() + b"x")
    status, _, told = run(release_command.rollback, NAME)
    assert (status, "model.onnx has SHA-256" in told) == (1, True)
    champion = registry.champion(NAME)
    assert champion is not None
    assert champion.version == "1.1.0"
    assert [each.action for each in registry.history(NAME)] == ["promote", "promote"]


@pytest.mark.parametrize("killed", ["promote", "rollback"])
def test_decision_that_was_killed_before_it_took_effect_is_made_again(
    home: Path, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    registry = promoted_in_turn(home, 3 if killed == "rollback" else 2)
    register_version(home, "1.9.0", GOOD)
    last = registry.resolve(NAME, "1.9.0")

    def decide() -> None:
        if killed == "rollback":
            registry.rollback(NAME)
        else:
            registry.promote(last, "passed")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "set_registered_model_alias", stop)
        with pytest.raises(KeyboardInterrupt):
            decide()
    decide()
    back, _ = registry.rollback(NAME)
    assert back.version == ("1.0.0" if killed == "rollback" else "1.1.0")


def test_history_of_what_is_not_there_is_told_apart_from_none(home: Path) -> None:
    status, _, problem = run(release_command.history, "nosuch")
    assert (status, "no version of 'nosuch'" in problem) == (1, True)
    register_version(home, "1.0.0", GOOD)
    status, told, _ = run(release_command.history, NAME)
    assert (status, "Nothing was decided" in told) == (0, True)


def test_history_has_no_end(home: Path) -> None:
    registry = promoted_in_turn(home, 1)
    refused = registry.resolve(NAME, "1.0.0")
    for _ in range(30):
        registry.refuse(refused, "x" * 4900)
    assert len(registry.history(NAME)) == 31


def test_comparison_prints_and_draws_the_difference(home: Path, tmp_path: Path) -> None:
    register_version(home, "1.0.0", GOOD)
    register_version(home, "1.1.0", made_up_locked_set(1.0, seed=2))
    picture = tmp_path / "difference.png"
    arguments = (f"{NAME}@1.0.0", f"{NAME}@challenger", "--out", str(picture))
    status, told, _ = run(release_command.compare, *arguments, "--json")
    answer = json.loads(told)
    assert (status, answer["samples"]) == (0, 300)
    auc = next(each for each in answer["differences"] if each["figure"] == "auc")
    assert auc["low"] < auc["difference"] < auc["high"] < 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    status, told, _ = run(release_command.compare, *arguments)
    assert "300 samples of the locked set" in told


def test_same_version_is_not_promoted_twice(home: Path) -> None:
    register_version(home, "1.0.0", GOOD)
    assert gate()[0]
    registry = Registry(home)
    with pytest.raises(ReleaseError, match="is the champion already"):
        registry.promote(registry.resolve(NAME, "1.0.0"), "")
