"""What may go another way on PostgreSQL, once more with a node that keeps everything there."""

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from benchmarks.postgresql import PostgresServer

# Tests and what they need, here with the node below.
from tests.integration.serving.node.conftest import RunningNode, running_node
from tests.integration.serving.node.test_dicomweb import (  # noqa: F401
    http,
    study,
    test_fuzzy_matching_finds_words_of_a_name,
    test_pages_follow_each_other,
    test_series_and_instances_are_found,
    test_storing_says_what_became_of_each,
    test_studies_are_found,
    web,
)
from tests.integration.serving.node.test_receiving import (  # noqa: F401
    test_a_radiograph_comes_back_as_results,
    test_another_instance_under_a_known_uid_is_refused,
    test_what_is_sent_is_there_byte_for_byte,
)
from tests.integration.serving.node.test_worklist import (  # noqa: F401
    test_a_work_item_is_claimed_by_one_and_completed_by_that_one,
    test_of_many_who_claim_at_once_one_gets_it,
    test_what_nobody_has_claimed_is_cancelled_at_once,
)


@pytest.fixture(scope="module")
def node(
    tmp_path_factory: pytest.TempPathFactory, postgresql: PostgresServer
) -> Iterator[RunningNode]:
    """A node whose records, audit record and jobs are in PostgreSQL."""
    home = tmp_path_factory.mktemp("node")
    with (
        postgresql.fresh_database() as url,
        mock.patch.dict(os.environ, {"ZHUZHEN_DATABASE_URL": url}),
        running_node(home, home / "log") as found,
    ):
        yield found
        assert not list(Path(home).glob("*.sqlite3")), "something went into a file"
    assert "Traceback" not in (home / "log").read_text()
