"""The service builds into a Bento that carries the released packages and loads on its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.package import verify

ROOT = Path(__file__).resolve().parents[2]
RELEASED = Path("models", "released")

LOAD = """
import json, sys
from pathlib import Path
import bentoml
service = bentoml.load(sys.argv[1])
import serving.service
loaded = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"name": service.name, "file": serving.service.__file__, "loaded": loaded}))
"""


def run(*arguments: str, home: Path, cwd: Path) -> str:
    environment = {**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("bentoml")
    run("-m", "bentoml", "build", "--output", "tag", home=home, cwd=ROOT)
    (built,) = [path.parent for path in home.glob("bentos/zhuzhen/*/bento.yaml")]
    return built


@pytest.mark.slow
def test_bento_holds_the_service_and_the_models_alone(bento: Path) -> None:
    assert {path.name for path in (bento / "src").iterdir()} == {
        "bentofile.yaml",
        "models",
        "serving",
    }


@pytest.mark.slow
def test_released_packages_are_intact_in_the_bento(bento: Path) -> None:
    released = sorted(path.parent for path in (ROOT / RELEASED).rglob("SHA256SUMS"))
    assert released
    for package in released:
        assert verify(bento / "src" / package.relative_to(ROOT)) == verify(package)


@pytest.mark.slow
def test_bento_loads_its_own_code(bento: Path, tmp_path: Path) -> None:
    answer = json.loads(
        run("-c", LOAD, str(bento), home=bento.parents[2], cwd=tmp_path).splitlines()[-1]
    )
    assert answer["name"] == "zhuzhen"
    assert Path(answer["file"]).is_relative_to(bento / "src")
    assert not {"torch", "monai", "mlflow", "datasets"} & set(answer["loaded"])
