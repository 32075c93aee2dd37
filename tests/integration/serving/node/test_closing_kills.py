"""A node is killed while it closes a study: that the study came is on record all the same."""

import random
import time
from pathlib import Path

import pydicom
import pytest

from serving.audit import Outcome
from serving.audit.opening import audit_engine
from serving.audit.queries import Criteria, find_events
from serving.jobs.listing import list_jobs
from serving.privacy import open_keyring, pseudonym_of
from serving.records import database_url, open_engine
from tests.installation import installation
from tests.node_kills import EXAMPLE, Modality, Victim


def received() -> int:
    """How often it is on record that a study of the patient came."""
    number = str(pydicom.dcmread(EXAMPLE, stop_before_pixels=True).PatientID)
    wanted = Criteria(pseudonym_of(open_keyring(), "local", number))
    with audit_engine() as engine, engine.connect() as connection:
        return len(
            [
                event
                for event in find_events(connection, wanted)
                if (event.operation, event.outcome) == ("c-store", Outcome.ALLOWED)
            ]
        )


def wait_until_read() -> None:
    engine = open_engine(database_url())
    deadline = time.monotonic() + 120
    while {job.state for job in list_jobs(engine)} != {"done"}:
        assert time.monotonic() < deadline, "the study was not read"
        time.sleep(0.1)
    engine.dispose()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_study_that_came_is_on_record(
    kind: str, moment: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with installation(kind, tmp_path, request) as home:
        home.mkdir(exist_ok=True)
        victim = Victim(home)
        victim.start(moment)
        modality = Modality(victim.port, 1)
        modality.send(1, random.Random(1), 0.0)
        assert modality.is_done
        deadline = time.monotonic() + 60
        while f"{moment} it is on record" not in (home / "log").read_text():
            assert time.monotonic() < deadline, "the study was not closed"
            time.sleep(0.05)
        victim.kill()
        victim.start()
        wait_until_read()
        victim.kill()
        # What was on record before the kill is so again, since the study is closed again.
        assert received() == (1 if moment == "before" else 2)
