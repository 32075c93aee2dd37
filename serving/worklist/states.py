"""What may be done with a work item in each state: PS3.4 section CC.1.1, table CC.1.1-1."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from serving.problems import Problem


class State(StrEnum):
    """Procedure Step State (0074,1000)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"


_ALLOWED: Mapping[State, tuple[State, ...]] = {
    State.SCHEDULED: (State.IN_PROGRESS,),
    State.IN_PROGRESS: (State.COMPLETED, State.CANCELED),
    State.COMPLETED: (),
    State.CANCELED: (),
}


@dataclass(frozen=True, slots=True)
class Held:
    """A work item as far as its state goes."""

    state: State
    transaction_uid: str
    """Of who has claimed it; empty before that."""


def require_change(held: Held, wanted: State, transaction_uid: str) -> None:
    """Let a change of state pass.

    Raises:
        Problem: 400, without a Transaction UID or from a state that does not lead there; 409, the
            Transaction UID is another's.
    """
    if not transaction_uid:
        raise Problem(
            HTTPStatus.BAD_REQUEST, "The change has no Transaction UID (0008,1195); send yours."
        )
    if wanted not in _ALLOWED[held.state]:
        raise Problem(
            HTTPStatus.CONFLICT,
            f"The work item is {held.state}; it cannot become {wanted} (PS3.4 CC.1.1).",
        )
    require_claim(held, transaction_uid)


def require_claim(held: Held, transaction_uid: str) -> None:
    """Let pass who has claimed the item, and anybody where nobody has.

    Raises:
        Problem: 409, it is claimed under another Transaction UID.
    """
    if held.transaction_uid and held.transaction_uid != transaction_uid:
        raise Problem(
            HTTPStatus.CONFLICT,
            "The work item is claimed under another Transaction UID (0008,1195).",
        )
