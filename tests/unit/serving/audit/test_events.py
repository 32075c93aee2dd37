"""What may be in an event, and how it is written down."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from serving.audit import AuditEventError
from serving.audit.events import event_from
from tests.audit_samples import an_event


def test_an_event_comes_back_as_it_was() -> None:
    event = an_event()
    assert event_from(event.canonical()) == event


def test_the_canonical_form_is_sorted_and_leaves_out_what_is_not_known() -> None:
    event = an_event(patient=None, relation=None)
    payload = event.canonical()
    found = json.loads(payload)
    assert list(found) == sorted(found)
    assert not {"patient", "relation"} & set(found)
    assert b" " not in payload


def test_times_are_written_in_utc_with_microseconds() -> None:
    zoned = datetime(2026, 11, 25, 8, 0, tzinfo=timezone(timedelta(hours=8)))
    moved = an_event(occurred_at=zoned)
    assert b'"2026-11-25T00:00:00.000000Z"' in moved.canonical()
    assert event_from(moved.canonical()).occurred_at == datetime(2026, 11, 25, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("patient", "MRN-4711"),
        ("patient", "张伟"),
        ("object_id", "Zhang Wei"),
        ("actor", "a\nb"),
        ("actor", ""),
        ("reason", "张伟的家属同意"),
        ("operation", "x" * 201),
        ("sealed_note", "in plain words"),
        ("source_address", "ward-3.example"),
    ],
)
def test_what_could_name_a_patient_is_refused_and_not_repeated(field: str, value: str) -> None:
    with pytest.raises(AuditEventError) as told:
        an_event(**{field: value})
    assert field in str(told.value)
    assert not value or value not in str(told.value)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(AuditEventError, match="time zone"):
        an_event(occurred_at=datetime(2026, 11, 25))


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b"\xff", b'{"category":"?"}'])
def test_what_is_no_event_is_told(payload: bytes) -> None:
    with pytest.raises(AuditEventError):
        event_from(payload)
