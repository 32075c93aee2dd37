"""The words of the policy: roles, relations, actions."""

from enum import StrEnum


class Role(StrEnum):
    """What a person or program is here for."""

    PRIMARY_CLINICIAN = "primary_clinician"
    """Doctor, nurse or technician of the institution that sees the patient."""
    SPECIALIST = "specialist"
    """Reads what is referred: radiologist, pathologist, cardiologist."""
    ML_ENGINEER = "ml_engineer"
    """Releases and watches models; sees no patient's record."""
    ADMINISTRATOR = "administrator"
    """Runs the installation: institutions, accounts, keys, routing; sees no patient's record."""
    AUDITOR = "auditor"
    """Reads the audit record and answers what was asked of it; changes nothing."""
    SYSTEM = "system"
    """A program: a modality, a PACS, an EHR, a job of the service itself."""


class Relation(StrEnum):
    """How the actor's institution stands to a record."""

    OWN = "own"
    """The institution made it."""
    REFERRED = "referred"
    """It was referred to the institution, and the referral is open."""
    SHARED = "shared"
    """The patient agreed that the institution sees it."""
    EMERGENCY = "emergency"
    """Somebody broke the glass for this patient: with a reason, for a short time, watched."""
    NONE = "none"
    """A patient's record with which the institution has nothing to do."""
    INSTALLATION = "installation"
    """Not a patient's record: models, accounts, settings, the audit record."""


class Action(StrEnum):
    """What may be asked for. A route, DICOM service or job names exactly one."""

    RECOGNIZE = "recognize"
    """Have an image pre-read that comes with the request."""
    CLASSIFY_PATHOLOGY = "classify_pathology"
    """Have a pathology tile classified that comes with the request."""
    SCORE_RISK = "score_risk"
    """Have risks scored of the person described in the request."""
    DISCOVER = "discover"
    """Read what the service offers: its description, scores, hooks, models."""
    GIVE_FEEDBACK = "give_feedback"
    """Say what became of an answer: accepted, overridden and why."""

    STORE_IMAGES = "store_images"
    SEARCH_IMAGES = "search_images"
    READ_IMAGES = "read_images"
    READ_PRE_READS = "read_pre_reads"
    MANAGE_QUARANTINE = "manage_quarantine"
    READ_WORKLIST = "read_worklist"
    WORK_ON_TASKS = "work_on_tasks"
    """Create, claim, update, complete or cancel a worklist task."""
    PROCESS_STUDY = "process_study"
    """The durable job of a study: gate, infer, build results."""
    DELIVER_RESULTS = "deliver_results"
    """Send results to a destination."""
    EXPORT_DEIDENTIFIED = "export_deidentified"
    """Let images leave the institution, de-identified, for research and model development."""
    VERIFY_CONNECTION = "verify_connection"
    """C-ECHO and its like."""

    READ_JOBS = "read_jobs"
    RETRY_JOBS = "retry_jobs"
    READ_ROUTING = "read_routing"

    READ_MODELS = "read_models"
    RELEASE_MODELS = "release_models"
    READ_MONITORING = "read_monitoring"
    WRITE_REVIEWS = "write_reviews"
    EXPORT_REVIEWS = "export_reviews"
    """Let reviews of pre-reads leave, for model development."""

    MANAGE_INSTITUTIONS = "manage_institutions"
    MANAGE_ACCOUNTS = "manage_accounts"
    MANAGE_KEYS = "manage_keys"
    MANAGE_OWN_ACCOUNT = "manage_own_account"

    READ_REFERRALS = "read_referrals"
    REFER_PATIENT = "refer_patient"
    """Hand a patient's records to an institution for an opinion, or end that."""
    READ_CONSENTS = "read_consents"
    RECORD_CONSENT = "record_consent"
    """Record that a patient consented, or withdrew it."""
    BREAK_GLASS = "break_glass"
    REVIEW_EMERGENCY = "review_emergency"
    """Look at who broke the glass, and note it."""
    EXPORT_PERSON = "export_person"
    """Hand a person a copy of everything that there is of them."""
    ERASE_PERSON = "erase_person"
    """Remove everything of a person but what the law keeps."""
    HOLD_RECORDS = "hold_records"
    """Set or lift a legal hold."""
    READ_AUDIT = "read_audit"

    READ_METRICS = "read_metrics"
