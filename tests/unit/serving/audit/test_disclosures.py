"""The report for the person whose records they are."""

from serving.audit import Action, Outcome, Purpose
from serving.audit.disclosures import (
    ACTIONS,
    OBJECTS,
    OUTCOMES,
    PURPOSES,
    ROLES,
    DisclosureReport,
)
from serving.policy import Role
from tests.audit_samples import PATIENT, an_event

EVENTS = [
    an_event(),
    an_event(outcome=Outcome.DENIED, reason="relation", institution="clinic", relation=None),
    an_event(purpose=Purpose.EMERGENCY, action=Action.UPDATE),
]


def test_every_word_exists_in_both_languages() -> None:
    assert set(ROLES) == {*Role, "operator", "none"}
    assert all(text.en and text.zh for text in (*ROLES.values(), *OBJECTS.values()))
    for table, words in ((ACTIONS, Action), (OUTCOMES, Outcome), (PURPOSES, Purpose)):
        assert set(table) == set(words)
        assert all(text.en and text.zh for text in table.values())


def test_the_page_says_who_when_why_and_who_was_refused() -> None:
    report = DisclosureReport.of(PATIENT, EVENTS)
    english, chinese = report.as_markdown("en"), report.as_markdown("zh")
    assert (
        "| account:17 | specialist | clinic | care | study of images | read | studies.read | "
        "refused (relation) |" in english
    )
    assert (
        "| account:17 | 专科医师 | county-hospital | 紧急访问 | 影像检查 | 修改 | studies.read | "
        "已执行 |" in chinese
    )
    assert len(english.splitlines()) == len(chinese.splitlines()) == 6 + len(EVENTS)


def test_the_json_form_has_every_event() -> None:
    found = DisclosureReport.of(PATIENT, EVENTS).as_json()
    assert found["count"] == len(EVENTS)
    assert [entry["event_id"] for entry in found["disclosures"]] == [e.event_id for e in EVENTS]
    assert found["disclosures"][1]["outcome_text"] == {"en": "refused", "zh": "已拒绝"}
