"""Every event is valid in the forms of FHIR and DICOM, by validators that are not ours."""

from pathlib import Path

import fhirkit
import pytest
from lxml import etree

from serving.audit import Action, AuditEvent, Category, Outcome, Purpose
from serving.audit.dicom_messages import as_dicom_message
from serving.audit.event_codes import EVENT_IDS, PURPOSES
from serving.audit.fhir_events import as_fhir
from tests.audit_samples import PATIENT, an_event

SCHEMA = etree.RelaxNG(etree.parse(Path(__file__).parent / "dicom-audit-message.rng"))

EVENTS = [
    *(an_event(category=category) for category in Category),
    *(an_event(action=action) for action in Action),
    *(an_event(purpose=purpose) for purpose in Purpose),
    *(an_event(outcome=outcome, reason="no_consent") for outcome in Outcome),
    an_event(outcome=Outcome.DENIED),
    an_event(patient=None),
    an_event(object_id=None),
    an_event(object_type=None),
    an_event(patient=None, object_id=None, institution=None, source_address=None, request_id=None),
    an_event(source_address="2001:db8::7"),
]


@pytest.mark.parametrize("event", EVENTS)
def test_fhir_form_is_valid(event: AuditEvent) -> None:
    issues = fhirkit.validate(as_fhir(event))
    assert not [(issue.path, issue.message) for issue in issues]


def test_the_fhir_validator_would_tell() -> None:
    wrong = as_fhir(an_event()) | {"recorded": "yesterday"}
    del wrong["source"]
    assert {issue.path for issue in fhirkit.validate(wrong)} >= {
        "AuditEvent.source",
        "AuditEvent.recorded",
    }


@pytest.mark.parametrize("event", EVENTS)
def test_dicom_form_is_valid(event: AuditEvent) -> None:
    SCHEMA.assertValid(etree.fromstring(as_dicom_message(event)))


def test_the_dicom_schema_would_tell() -> None:
    message = etree.fromstring(as_dicom_message(an_event()))
    message.find("EventIdentification").set("EventOutcomeIndicator", "1")
    assert not SCHEMA.validate(message)


def test_all_words_have_codes() -> None:
    assert set(EVENT_IDS) == set(Category)
    assert set(PURPOSES) == set(Purpose)


def test_what_is_hostile_stays_text() -> None:
    message = etree.fromstring(as_dicom_message(an_event(object_id="a+b=c/d~e")))
    found = message.xpath("//ParticipantObjectIdentification/@ParticipantObjectID")
    assert found == [PATIENT, "a+b=c/d~e"]
