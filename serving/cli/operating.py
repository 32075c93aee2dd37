"""What commands on the machine itself do is done as its operator, and recorded."""

from models.errors import ZhuzhenError
from serving.access import Guard
from serving.identity.local import operator
from serving.policy import Action, Target
from serving.problems import Problem


class NotPermittedError(ZhuzhenError):
    """A command may not be carried out, or what it does cannot be recorded."""


def permit(guard: Guard, operation: str, action: Action, target: Target | None = None) -> None:
    """Have it on disk that the operator does `operation`; may be called from any thread.

    Args:
        guard: of this installation.
        operation: name of the command, such as `users.add`.
        action: what it is in the policy.
        target: what it is done to; by default something of the operator's own institution.

    Raises:
        NotPermittedError: the policy does not allow it, or the record takes no events.
        AuditUnavailableError: the event could not be written.
    """
    access = guard.act(operator(), f"cli:{operation}", action)
    try:
        access.require(access.own("image") if target is None else target)
    except Problem as problem:
        raise NotPermittedError(str(problem)) from None
    for receipt in access.receipts:
        receipt.wait()
