"""Every column that holds text is sealed, or somebody has said why it need not be."""

from sqlalchemy import JSON, LargeBinary, String

from serving.privacy.sealed_columns import SealedText
from serving.records.tables import METADATA

IN_CLEAR = {
    "made up by the service itself: identifiers, digests, states, words from lists of its own": """
        accounts.id accounts.password_hash accounts.roles api_keys.id api_keys.roles
        api_keys.scopes api_keys.secret_sha256 archive_instances.digest archive_quarantine.digest
        archive_quarantine.reason archive_studies.state cds_cards.id cds_cards.indicator
        cds_cards.score cds_cards.service cds_cards.version cds_feedback.card_id
        cds_feedback.outcome cds_feedback.reason consents.id consents.purpose deliveries.id
        deliveries.job_id deliveries.outgoing deliveries.state emergency_overrides.id executors.id
        fetches.id fetches.state institutions.tier
        jobs.id jobs.plan jobs.state legal_holds.id pre_reads.answers
        pre_reads.job_id pre_reads.results referrals.id sessions.account_id sessions.digest
        used_tokens.digest workitem_channels.channel workitems.state
    """,
    "its own sentences, which hold nothing of a patient": """
        archive_quarantine.told deliveries.reason fetches.reason jobs.reason
    """,
    "who works with the system, by the identifier of the account, key or token": """
        consents.recorded_by consents.withdrawn_by emergency_overrides.actor
        emergency_overrides.reviewed_by legal_holds.placed_by referrals.opened_by
    """,
    "a pseudonym: HMAC under a key of the installation": """
        consents.patient emergency_overrides.patient legal_holds.patient referrals.patient
    """,
    "a blind index: HMAC under a key of the installation": """
        archive_studies.accession_index archive_studies.patient_index
    """,
    "sealed by the archive and the worklist themselves": """
        archive_instances.attributes archive_series.attributes archive_studies.attributes
        workitem_global_subscriptions.attributes workitem_reports.attributes workitems.attributes
    """,
    "UIDs and a date, by which is searched; codes of DICOM": """
        archive_expected.study_uid fetches.study_uid
        archive_instances.sop_class_uid archive_instances.sop_instance_uid
        archive_instances.transfer_syntax_uid archive_quarantine.sop_instance_uid
        archive_quarantine.transfer_syntax_uid archive_series.modality archive_series.series_uid
        archive_studies.study_date archive_studies.study_uid workitem_reports.uid
        workitem_subscriptions.uid workitems.transaction_uid workitems.uid
    """,
    "chosen by administrators: institutions, sources, destinations, AE titles": """
        accounts.institution_id api_keys.institution_id archive_expected.institution
        archive_instances.institution fetches.institution fetches.source
        archive_instances.source archive_quarantine.institution archive_quarantine.source
        archive_studies.institution archive_studies.source cds_cards.institution_id consents.owner
        consents.recipient deliveries.destination emergency_overrides.actor_institution
        institutions.id institutions.name institutions.name_zh jobs.institution jobs.source
        referral_paths.from_id referral_paths.to_id referrals.from_id referrals.to_id
        workitem_channels.institution workitem_channels.subscriber
        workitem_global_subscriptions.institution workitem_global_subscriptions.subscriber
        workitem_reports.institution workitem_reports.subscriber
        workitem_subscriptions.institution workitem_subscriptions.subscriber workitems.institution
    """,
    "what a person logs in with, looked up at every login": "accounts.name",
    "a machine name or a file number, by rule nothing of the person": "legal_holds.reason",
}
"""Columns by why they lie in clear; docs/privacy.md says what that means for the disk."""


def test_every_column_of_text_was_decided_on() -> None:
    """Whoever adds a column seals it (`SealedText`) or says above why not."""
    found = {
        f"{table.name}.{column.name}"
        for table in METADATA.sorted_tables
        for column in table.columns
        if isinstance(column.type, String | JSON | LargeBinary)
        and not isinstance(column.type, SealedText)
    }
    assert found == {name for names in IN_CLEAR.values() for name in names.split()}


def test_no_two_columns_are_sealed_for_the_same() -> None:
    """A value that is moved to another column does not open there."""
    contexts = [
        column.type.context
        for table in METADATA.sorted_tables
        for column in table.columns
        if isinstance(column.type, SealedText)
    ]
    assert contexts
    assert len(contexts) == len(set(contexts))
