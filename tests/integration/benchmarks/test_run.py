"""The harness runs the real service and tells what it found; how fast is not tested."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_quick_run_of_one_measure(tmp_path: Path) -> None:
    run = benchmarks("--quick", "--only", "overhead", "--out", str(tmp_path))
    assert run.returncode == 0, run.stderr
    page = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert run.stdout.strip() == page.strip()
    (measure,) = json.loads((tmp_path / "benchmarks.json").read_text(encoding="utf-8"))["measures"]
    assert measure["measure"] == "overhead"
    # Two bodies, over HTTP and in process, and the network alone.
    assert len(measure["ratios"]) == 4
    assert len(measure["absolutes"]) == 5
    assert all(figure["spread"]["median"] > 0 for figure in measure["absolutes"])
    assert "| DICOM bytes to answer, one client | " in page
    assert str(ROOT) not in page


def test_unknown_measure_is_refused() -> None:
    run = benchmarks("--only", "luck")
    assert run.returncode == 2
    assert "overhead" in run.stderr
    assert "luck" in run.stderr
