"""Why an instance is not kept."""

from enum import StrEnum
from typing import Any

from models.errors import ZhuzhenError


class Refusal(StrEnum):
    """Kinds of refusal, each with a status of its own in DIMSE and DICOMweb."""

    NOT_UNDERSTOOD = "not_understood"
    """The data set cannot be parsed, or lacks what every instance has."""
    NOT_AS_ANNOUNCED = "not_as_announced"
    """The data set is another instance, or of another class, than the sender said."""
    CONFLICT = "conflict"
    """Another instance with the same SOP Instance UID is known."""
    SYNTAX_NOT_READ = "syntax_not_read"
    """The transfer syntax is one that is not decoded here."""
    OTHER_STUDY = "other_study"
    """The instance belongs to another study than the one it was stored under."""
    OTHER_PATIENT = "other_patient"
    """The study is known, and is another patient's by the Patient ID."""
    OUT_OF_SPACE = "out_of_space"
    """There is no room left to keep it."""


class StudyGoneError(ZhuzhenError):
    """What this node made belongs to a study that was erased meanwhile, and must not revive it."""

    def __init__(self) -> None:
        super().__init__("The study was erased; nothing that was made of it is kept.")


class InstanceRefusedError(ZhuzhenError):
    """An instance was not kept; the message holds no patient data."""

    def __init__(self, refusal: Refusal, told: str) -> None:
        super().__init__(told)
        self.refusal = refusal
        self.sop_class_uid: str | None = None
        self.sop_instance_uid: str | None = None
        """Which instance it was, as far as its header could be read."""
        self.said: dict[str, Any] | None = None
        """What it says of its study and patient (DICOM JSON), where its header could be read. For
        the audit record, which makes a pseudonym of it; never told to anybody."""

    @property
    def can_heal(self) -> bool:
        """Whether the same instance may be kept later."""
        return self.refusal is Refusal.OUT_OF_SPACE
