"""The environment that ``make demo`` and ``make serve`` create holds the serving part alone."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venv-serving"

MAX_SIZE_MB = 500
TRAINING_LIBRARIES = ("torch", "monai", "mlflow", "sklearn", "pandas", "matplotlib")

pytestmark = pytest.mark.skipif(
    not (ENVIRONMENT / ".installed").exists(),
    reason="there is no serving environment yet: make demo creates it",
)


@pytest.mark.parametrize("name", TRAINING_LIBRARIES)
def test_no_training_library_is_installed(name: str) -> None:
    site_packages = [
        path for path in ENVIRONMENT.glob("lib/python*/site-packages") if path.is_dir()
    ]
    assert site_packages
    assert not [path for folder in site_packages for path in folder.glob(f"{name}*")]


def test_environment_is_small() -> None:
    files = [path for path in ENVIRONMENT.rglob("*") if path.is_file() and not path.is_symlink()]
    # st_blocks counts what is taken on the disk, in units of 512 bytes whatever the file system.
    size_mb = sum(path.stat().st_blocks for path in files) * 512 / 1e6
    assert 0 < size_mb < MAX_SIZE_MB
