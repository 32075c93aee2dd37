"""The one table: what each role may do, and to records of which relation.

What is not in it is forbidden. Least privilege follows the duties of each role: who treats sees
patients of the own institution and those referred or shared to it; who runs the installation or
makes models sees no patient; who audits reads the audit record and changes nothing.
"""

from collections.abc import Mapping

from serving.policy.words import Action, Relation, Role

_CLINICIAN, _SPECIALIST = Role.PRIMARY_CLINICIAN, Role.SPECIALIST
_ENGINEER, _ADMIN, _AUDITOR, _SYSTEM = (
    Role.ML_ENGINEER,
    Role.ADMINISTRATOR,
    Role.AUDITOR,
    Role.SYSTEM,
)

_OWN = frozenset({Relation.OWN})
_CARE = frozenset({Relation.OWN, Relation.REFERRED, Relation.SHARED, Relation.EMERGENCY})
_HOUSE = frozenset({Relation.INSTALLATION})

Row = Mapping[Role, frozenset[Relation]]

_TREATING: Row = {_CLINICIAN: _OWN, _SPECIALIST: _OWN, _SYSTEM: _OWN}
"""Makes something new for a patient of the own institution."""
_SEEING: Row = {_CLINICIAN: _CARE, _SPECIALIST: _CARE, _SYSTEM: _OWN}
"""Sees what there is. A program stays within its institution: nobody is there to give a reason."""
_EVERYONE: Row = dict.fromkeys(Role, _HOUSE)

TABLE: Mapping[Action, Row] = {
    Action.RECOGNIZE: _TREATING,
    Action.CLASSIFY_PATHOLOGY: _TREATING,
    Action.SCORE_RISK: _TREATING,
    Action.DISCOVER: _EVERYONE,
    Action.GIVE_FEEDBACK: _TREATING,
    Action.STORE_IMAGES: _TREATING,
    Action.SEARCH_IMAGES: _SEEING,
    Action.READ_IMAGES: _SEEING,
    Action.READ_PRE_READS: _SEEING,
    Action.MANAGE_QUARANTINE: {_ADMIN: _OWN},
    Action.READ_WORKLIST: _SEEING,
    Action.WORK_ON_TASKS: {
        _CLINICIAN: _OWN,
        _SPECIALIST: frozenset({Relation.OWN, Relation.REFERRED}),
        _SYSTEM: _OWN,
    },
    Action.FETCH_STUDY: _TREATING,
    Action.PROCESS_STUDY: {_SYSTEM: _OWN},
    Action.DELIVER_RESULTS: {_SYSTEM: _OWN},
    Action.EXPORT_DEIDENTIFIED: {_SPECIALIST: _OWN, _SYSTEM: _OWN},
    Action.VERIFY_CONNECTION: _EVERYONE,
    # Of one job, or one image, it is on record whose it is; what is shown names nobody.
    Action.READ_JOBS: {_ADMIN: _OWN | _HOUSE, _SYSTEM: _HOUSE},
    Action.RETRY_JOBS: {_ADMIN: _OWN},
    Action.READ_ROUTING: {_ADMIN: _OWN | _HOUSE, _ENGINEER: _HOUSE},
    Action.READ_MODELS: _EVERYONE,
    Action.RELEASE_MODELS: {_ENGINEER: _HOUSE},
    Action.READ_MONITORING: {_ENGINEER: _HOUSE, _ADMIN: _HOUSE, _AUDITOR: _HOUSE},
    Action.WRITE_REVIEWS: {_SPECIALIST: frozenset({Relation.OWN, Relation.REFERRED})},
    Action.EXPORT_REVIEWS: {_ENGINEER: _OWN | _HOUSE},
    Action.MANAGE_INSTITUTIONS: {_ADMIN: _HOUSE},
    Action.MANAGE_ACCOUNTS: {_ADMIN: _HOUSE},
    Action.MANAGE_KEYS: {_ADMIN: _HOUSE},
    Action.MANAGE_OWN_ACCOUNT: _EVERYONE,
    Action.READ_OWN_ACCOUNT: _EVERYONE,
    Action.READ_REFERRALS: {_CLINICIAN: _OWN, _SPECIALIST: _OWN, _SYSTEM: _OWN},
    Action.REFER_PATIENT: {_CLINICIAN: _OWN, _SPECIALIST: _OWN},
    Action.READ_CONSENTS: {_CLINICIAN: _OWN, _SPECIALIST: _OWN, _SYSTEM: _OWN},
    Action.RECORD_CONSENT: {_CLINICIAN: _OWN, _SPECIALIST: _OWN, _SYSTEM: _OWN},
    # The relation that is asked for does not exist yet; that is what breaking the glass makes.
    Action.BREAK_GLASS: {
        _CLINICIAN: frozenset({Relation.NONE}),
        _SPECIALIST: frozenset({Relation.NONE}),
    },
    Action.REVIEW_EMERGENCY: {_AUDITOR: _HOUSE},
    Action.EXPORT_PERSON: {_ADMIN: _OWN},
    Action.ERASE_PERSON: {_ADMIN: _OWN},
    # Courts ask the installation; whose patient it is does not matter.
    Action.HOLD_RECORDS: {_AUDITOR: frozenset({Relation.NONE, Relation.INSTALLATION})},
    # Whoever the events are about: the patient's report says who had it made.
    Action.READ_AUDIT: {_AUDITOR: frozenset({Relation.NONE, Relation.INSTALLATION})},
    Action.READ_METRICS: {_ADMIN: _HOUSE, _ENGINEER: _HOUSE, _SYSTEM: _HOUSE},
}
FOR_RESEARCH = frozenset({Action.EXPORT_DEIDENTIFIED, Action.EXPORT_REVIEWS})
"""What lets records of patients leave for research and model development: beside its row in the
table, each patient's own consent to that purpose is needed (PIPL articles 23 and 29; what can be
traced back by a key is personal information still, article 73)."""

READING = frozenset(
    {
        Action.RECOGNIZE,
        Action.CLASSIFY_PATHOLOGY,
        Action.SCORE_RISK,
        Action.DISCOVER,
        Action.SEARCH_IMAGES,
        Action.READ_IMAGES,
        Action.READ_PRE_READS,
        Action.READ_WORKLIST,
        Action.READ_REFERRALS,
        Action.READ_CONSENTS,
        Action.READ_JOBS,
        Action.READ_ROUTING,
        Action.READ_MODELS,
        Action.READ_MONITORING,
        Action.READ_METRICS,
        Action.READ_OWN_ACCOUNT,
        Action.VERIFY_CONNECTION,
    }
)
"""What changes no record and takes none out: its event may reach the disk a moment after the
answer, where the policy allowed it to the institution that the record belongs to."""
