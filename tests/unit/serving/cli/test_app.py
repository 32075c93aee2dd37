"""The commands: how they fail, how little help loads, and commands that other parts bring."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from models import store
from models.package import CHECKSUMS
from serving.cli.app import app
from serving.cli.installed_commands import run_installed


def test_help_loads_neither_the_network_nor_the_service() -> None:
    program = """
import json, sys
from serving.cli.app import app
try:
    app(["--help"])
except SystemExit as end:
    print(json.dumps({"status": end.code, "loaded": sorted(sys.modules)}))
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    told = json.loads(run.stdout.splitlines()[-1])
    assert told["status"] == 0
    assert not {"bentoml", "onnxruntime", "torch", "training"} & set(told["loaded"])


def missing() -> Any:
    raise ModuleNotFoundError("No module named 'torch'", name="torch")


def test_a_command_whose_part_is_not_installed_says_how_to_install_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        run_installed("train", missing, [])
    assert end.value.code == 1
    told = capsys.readouterr()
    assert "zhuzhen train needs torch" in told.err
    assert '--editable ".[train]"' in told.err
    assert told.out == ""


def test_a_part_that_is_missing_only_when_the_command_runs_is_told_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        run_installed("train", lambda: missing, [])
    assert end.value.code == 1
    assert "zhuzhen train needs torch" in capsys.readouterr().err


def test_an_installed_command_gets_its_arguments_and_gives_its_status() -> None:
    seen: list[Any] = []

    def measure(model: str, times: int = 1) -> None:
        seen.append((model, times))
        raise typer.Exit(3)

    with pytest.raises(SystemExit) as end:
        run_installed("measure", lambda: measure, ["chest", "--times", "2"])
    assert end.value.code == 3
    assert seen == [("chest", 2)]


@pytest.fixture
def empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(store, "RELEASED", tmp_path / "released")
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.usefixtures("empty_store")
def test_an_empty_store_is_told_as_such() -> None:
    result = CliRunner().invoke(app, ["models", "list"])
    assert result.exit_code == 0
    assert "There is no model package" in result.stdout
    assert CliRunner().invoke(app, ["models", "list", "--json"]).stdout == ""


def test_list_says_which_version_an_alias_means(empty_store: Path) -> None:
    for version in ("1.0.0", "1.1.0"):
        folder = empty_store / "home" / "models" / "some-model" / version
        folder.mkdir(parents=True)
        (folder / CHECKSUMS).write_text(version)
    digest = f"sha256:{hashlib.sha256(b'1.0.0').hexdigest()}"
    store.set_alias("some-model", store.CHAMPION, store.Stated("1.0.0", digest))
    # Another package of that version is not what the alias means.
    store.set_alias("some-model", store.CHALLENGER, store.Stated("1.1.0", digest))
    told = CliRunner().invoke(app, ["models", "list", "--json"]).stdout
    assert [json.loads(line)["aliases"] for line in told.splitlines()] == [["champion"], []]
    assert "champion" in CliRunner().invoke(app, ["models", "list"]).stdout


@pytest.mark.usefixtures("empty_store")
def test_verifying_a_model_that_is_not_there_fails() -> None:
    result = CliRunner().invoke(app, ["models", "verify", "nothing", "--json"])
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["intact"] is False
    assert "'nothing'" in told["problem"]
