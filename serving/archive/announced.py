"""What a sender says of an instance beside it, and whether that is what it sent."""

from dataclasses import dataclass

from serving.archive.errors import InstanceRefusedError, Refusal
from serving.archive.header import InstanceHeader


@dataclass(frozen=True, slots=True)
class Announced:
    """What the sender said of an instance beside it; None where it said nothing."""

    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None
    study_uid: str | None = None

    def hold_against(self, header: InstanceHeader) -> None:
        """Hold what the sender said against what the data set says.

        Raises:
            InstanceRefusedError: they differ.
        """
        for said, found, name in (
            (self.sop_class_uid, header.sop_class_uid, "SOP Class UID"),
            (self.sop_instance_uid, header.sop_instance_uid, "SOP Instance UID"),
        ):
            if said is not None and said != found:
                told = f"The {name} of the data set is not the announced one."
                raise identified(InstanceRefusedError(Refusal.NOT_AS_ANNOUNCED, told), header)
        if self.study_uid is not None and self.study_uid != header.study_uid:
            told = "The instance belongs to another study than it was stored under."
            raise identified(InstanceRefusedError(Refusal.OTHER_STUDY, told), header)


UNANNOUNCED = Announced()
"""Nothing was said."""


def identified(refused: InstanceRefusedError, header: InstanceHeader) -> InstanceRefusedError:
    """Return the refusal with what the header says of the instance that it refuses."""
    refused.sop_class_uid = header.sop_class_uid
    refused.sop_instance_uid = header.sop_instance_uid
    refused.said = header.study
    return refused
