"""How the record speaks of the policy's actions: its categories, verbs and purposes."""

from serving import audit
from serving.policy import READING, Action, Decision, Relation

_PURPOSES = dict.fromkeys(
    (
        Action.MANAGE_ACCOUNTS,
        Action.MANAGE_INSTITUTIONS,
        Action.MANAGE_KEYS,
        Action.MANAGE_OWN_ACCOUNT,
        Action.READ_OWN_ACCOUNT,
        Action.MANAGE_QUARANTINE,
        Action.DISCOVER,
        Action.READ_METRICS,
        Action.READ_JOBS,
        Action.RETRY_JOBS,
        Action.READ_ROUTING,
        Action.READ_MODELS,
        Action.RELEASE_MODELS,
        Action.READ_MONITORING,
        Action.HOLD_RECORDS,
    ),
    audit.Purpose.OPERATIONS,
) | {
    Action.READ_AUDIT: audit.Purpose.AUDIT,
    Action.REVIEW_EMERGENCY: audit.Purpose.AUDIT,
    Action.EXPORT_DEIDENTIFIED: audit.Purpose.RESEARCH,
    Action.EXPORT_REVIEWS: audit.Purpose.RESEARCH,
    Action.EXPORT_PERSON: audit.Purpose.PATIENT_REQUEST,
    Action.ERASE_PERSON: audit.Purpose.PATIENT_REQUEST,
}
"""Where why it is done follows from what is done."""
_VERBS = dict.fromkeys(
    (
        Action.DISCOVER,
        Action.EXPORT_PERSON,
        Action.READ_AUDIT,
        Action.READ_CONSENTS,
        Action.READ_IMAGES,
        Action.READ_JOBS,
        Action.READ_METRICS,
        Action.READ_MODELS,
        Action.READ_MONITORING,
        Action.READ_OWN_ACCOUNT,
        Action.READ_PRE_READS,
        Action.READ_REFERRALS,
        Action.READ_ROUTING,
        Action.READ_WORKLIST,
    ),
    audit.Action.READ,
) | {
    Action.STORE_IMAGES: audit.Action.CREATE,
    Action.FETCH_STUDY: audit.Action.CREATE,
    Action.REFER_PATIENT: audit.Action.CREATE,
    Action.RECORD_CONSENT: audit.Action.CREATE,
    Action.ERASE_PERSON: audit.Action.DELETE,
    Action.HOLD_RECORDS: audit.Action.UPDATE,
}
"""Where an action does more, or less, than execute something (FHIR R4 AuditEvent.action)."""
_CATEGORIES = {
    Action.SEARCH_IMAGES: audit.Category.QUERY,
    Action.READ_IMAGES: audit.Category.INSTANCES_ACCESSED,
    Action.STORE_IMAGES: audit.Category.DATA_IMPORT,
    Action.FETCH_STUDY: audit.Category.DATA_IMPORT,
    Action.DELIVER_RESULTS: audit.Category.INSTANCES_TRANSFERRED,
    Action.EXPORT_DEIDENTIFIED: audit.Category.DATA_EXPORT,
    Action.EXPORT_REVIEWS: audit.Category.DATA_EXPORT,
    Action.EXPORT_PERSON: audit.Category.DATA_EXPORT,
    Action.ERASE_PERSON: audit.Category.PATIENT_RECORD,
    Action.HOLD_RECORDS: audit.Category.PATIENT_RECORD,
    Action.READ_CONSENTS: audit.Category.PATIENT_RECORD,
    Action.RECORD_CONSENT: audit.Category.PATIENT_RECORD,
    Action.READ_AUDIT: audit.Category.AUDIT_LOG_USED,
    Action.BREAK_GLASS: audit.Category.SECURITY_ALERT,
    Action.REFER_PATIENT: audit.Category.PATIENT_RECORD,
    Action.READ_REFERRALS: audit.Category.PATIENT_RECORD,
}
"""Where an action is more than something the application did (DICOM PS3.16 CID 400)."""


def category_of(action: Action) -> audit.Category:
    """Return what kind of thing an action is."""
    return _CATEGORIES.get(action, audit.Category.APPLICATION_ACTIVITY)


def verb_of(action: Action) -> audit.Action:
    """Return whether an action creates, reads, changes, deletes or runs something."""
    return _VERBS.get(action, audit.Action.EXECUTE)


def purpose_of(action: Action, relation: Relation) -> audit.Purpose | None:
    """Return why something is done where that follows from what it is, else None."""
    if relation is Relation.EMERGENCY or action is Action.BREAK_GLASS:
        return audit.Purpose.EMERGENCY
    return _PURPOSES.get(action)


def must_outlive_power(action: Action, decision: Decision) -> bool:
    """Whether the event has to be on disk before the answer goes out.

    Everything but what an institution reads of its own: refusals, changes, exports, emergencies,
    and what another institution's patient is seen by.
    """
    at_home = decision.relation in (Relation.OWN, Relation.INSTALLATION)
    return not (decision.allowed and at_home and action in READING)
