"""What every destination of DICOM objects is: deliver, and say of each object what became of it.

    PeerSettingError
    +-- DestinationSettingError   an entry in the node's file, or an address, that cannot be used
    PeerError                     a destination did not do what was asked; `can_heal` says what next
    +-- DeliveryError             it has not taken everything

A delivery may be repeated at any time: an object has the same UIDs and bytes whenever it is sent,
and a destination keeps one of it. Queues and repetition are the caller's.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from serving.destinations.dicom_file import DicomFile
from serving.peers import PeerError, PeerSettingError


class DestinationSettingError(PeerSettingError):
    """A destination is described by something that cannot be used."""


class DeliveryError(PeerError):
    """A destination has not taken every object."""


class State(StrEnum):
    """What became of one object."""

    DELIVERED = "delivered"
    """The destination has confirmed it."""
    TRY_AGAIN = "try_again"
    """It was not taken, for a reason that can pass: no connection, no space, too busy."""
    REFUSED = "refused"
    """It was not taken and will not be: not supported, not allowed, not understood."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one object at one destination."""

    sop_instance_uid: str
    state: State
    reason: str = ""
    """Why it was not taken, without any patient's data."""


class Destination(ABC):
    """Where DICOM objects are delivered to; may be used from several threads at once."""

    @abstractmethod
    def deliver(self, files: Sequence[DicomFile]) -> tuple[Outcome, ...]:
        """Deliver `files` in their order and return an outcome for each; raises nothing."""

    @abstractmethod
    def check(self) -> None:
        """Ask the destination whether it is there.

        Raises:
            PeerError: it is not, or does not let us in.
        """

    def send(self, files: Sequence[bytes]) -> None:
        """Deliver whole DICOM files (PS3.10); return once each is confirmed.

        Raises:
            DeliveryError: some were not; it can heal if none of them was refused for good.
        """
        outcomes = self.deliver([DicomFile.of(data) for data in files])
        missing = [outcome for outcome in outcomes if outcome.state is not State.DELIVERED]
        if missing:
            refused = [outcome for outcome in missing if outcome.state is State.REFUSED]
            reasons = "; ".join(dict.fromkeys(outcome.reason for outcome in refused or missing))
            raise DeliveryError(
                f"{len(missing)} of {len(outcomes)} objects were not taken: {reasons}",
                can_heal=not refused,
            )


def all_with(files: Sequence[DicomFile], state: State, reason: str) -> tuple[Outcome, ...]:
    """Return the same outcome for each of `files`."""
    return tuple(Outcome(file.sop_instance_uid, state, reason) for file in files)
