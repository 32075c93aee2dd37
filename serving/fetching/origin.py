"""What every PACS is to us that studies are fetched from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from serving.archive.header import is_uid
from serving.peers import PeerError


@dataclass(frozen=True, slots=True)
class Criteria:
    """What is searched for; empty texts ask for nothing. Wildcards are not promised."""

    study_uid: str = ""
    accession_number: str = ""
    patient_id: str = ""


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A study that a PACS has."""

    study_uid: str
    study_date: str
    """As PS3.5 has dates, YYYYMMDD; may be empty."""
    patient_id: str
    description: str


@dataclass(frozen=True, slots=True)
class ListedInstance:
    """An instance of a study, as the PACS lists it."""

    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    """Empty where the PACS does not tell."""


Keep = Callable[[bytes | memoryview, str], None]
"""Takes an encoded data set and its transfer syntax; raises nothing that the PACS could mend."""


class Origin(Protocol):
    """A PACS; may be used from several threads at once."""

    def find(self, wanted: Criteria) -> list[FoundStudy]:
        """Return the studies that fit.

        Raises:
            PeerError: the PACS did not answer, or not as the standard says.
        """

    def list_instances(self, study_uid: str) -> list[ListedInstance]:
        """Return everything that the PACS has of a study; empty where it does not know it.

        Raises:
            PeerError: as for `find`.
        """

    def retrieve(self, study_uid: str, wanted: Sequence[ListedInstance], keep: Keep) -> None:
        """Have the `wanted` instances of a study come here, through `keep` or the listener.

        Returns when the PACS has done what it can; which of them are here, the archive knows.

        Raises:
            PeerError: it did not do it to the end.
        """


def checked(instances: Sequence[ListedInstance], most: int, peer: object) -> list[ListedInstance]:
    """Return what a PACS listed, each once.

    Raises:
        PeerError: there are more than `most`, or what is listed are no UIDs.
    """
    found = {each.sop_instance_uid: each for each in instances}
    if len(found) > most:
        raise PeerError(
            f"{peer} lists {len(found)} instances of the study; expected {most} at most. Raise "
            "most_instances of the source if that is right.",
            can_heal=False,
        )
    if not all(is_uid(each.sop_instance_uid) and is_uid(each.series_uid) for each in instances):
        raise PeerError(
            f"{peer} lists instances without UIDs (PS3.4 C.6.2.1); it cannot be fetched from.",
            can_heal=False,
        )
    return list(found.values())
