"""Ray Data gives what the batch command writes."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet
import pytest

from models.errors import InputError
from models.risk.registry import find
from serving.risk.population import score_file
from serving.risk.ray_population import score_dataset
from tests.integration.serving.risk.test_population import people

ROOT = Path(__file__).resolve().parents[4]
# A process of its own, for Ray begins many and leaves some to the end. Several blocks, so that they
# are scored apart and may come back in another order.
PROGRAM = """
import sys
import ray
import pyarrow.parquet
from serving.risk.ray_population import score_dataset

ray.init(num_cpus=2, include_dashboard=False, object_store_memory=200 * 2**20)
read = ray.data.read_parquet(sys.argv[1]).repartition(4)
scored = pyarrow.Table.from_pylist(score_dataset("china-par", read).take_all())
pyarrow.parquet.write_table(scored, sys.argv[2])
ray.shutdown()
"""


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (extra scale)")
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ray_gives_what_the_batch_writes(tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    pa.parquet.write_table(people(2_000), source)
    score_file(find("china-par"), source, tmp_path / "out.parquet")

    command = [sys.executable, "-c", PROGRAM, str(source), str(tmp_path / "ray.parquet")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    if "timed out during startup" in done.stderr:
        # Its own limit for its own processes, which cannot be set; nothing of ours has run then.
        pytest.skip("Ray's processes did not start in time on this machine, which is too busy")
    assert done.returncode == 0, done.stderr[-3000:]
    expected = pa.parquet.read_table(tmp_path / "out.parquet")
    found = pa.parquet.read_table(tmp_path / "ray.parquet").sort_by("id")
    assert found.select(expected.column_names).to_pylist() == expected.to_pylist()


def test_a_score_that_is_off_stays_off() -> None:
    with pytest.raises(InputError):
        score_dataset("prevent", cast(Any, None))
