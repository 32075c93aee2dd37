"""The events of one patient, on both databases, with those that named nobody when they happened."""

from pathlib import Path

from serving.audit.queries import events_about
from tests.audit_samples import OTHER_PATIENT, PATIENT, a_recorder, a_signer, an_engine, an_event


def test_who_ordered_a_fetch_is_found_by_what_it_brought(database_url: str, tmp_path: Path) -> None:
    mine, others = "fetch-0a1b2c3d4e5f", "fetch-0a1b2c3d4e50"
    ordered = an_event(patient=None, object_id=mine, actor="account:1")
    brought = an_event(patient=PATIENT, object_id=mine, actor="node")
    elsewhere = [
        an_event(patient=None, object_id=others),
        an_event(patient=OTHER_PATIENT, object_id=others),
        # A request may say what it likes, but where it is not what was accessed it is nothing.
        an_event(patient=None, object_id=None, request_id=mine),
        an_event(patient=OTHER_PATIENT, object_id=mine),
    ]
    seen = an_event(patient=PATIENT, object_id="study-1")
    with an_engine(database_url) as engine:
        with a_recorder(engine, a_signer(), tmp_path / "anchor") as recorder:
            recorder.record(ordered, *elsewhere, brought, seen).wait()
        with engine.connect() as connection:
            found = [event.event_id for event in events_about(connection, PATIENT)]
            none = events_about(connection, "p-" + "c" * 26)
    assert found == [ordered.event_id, brought.event_id, seen.event_id]
    assert none == []
