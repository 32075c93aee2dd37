"""Killed in the middle, as a power cut would."""

import os
from pathlib import Path
from unittest import mock

import pytest

from tests.node_kills import findings, trouble


@pytest.mark.slow
def test_a_killed_node_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    # As the stricter setting loses nothing where this one does not.
    with mock.patch.dict(os.environ, {"ZHUZHEN_HOME": str(tmp_path)}):
        acknowledged = trouble(tmp_path, kills=2, studies=4, durability="process-end")
        assert len(acknowledged) == 4
        assert findings(tmp_path, acknowledged, 4) == []
