"""What commands on the machine itself do is done as its operator, and recorded."""

from collections.abc import Iterator
from contextlib import contextmanager

from models.errors import ZhuzhenError
from serving.access import Access, Guard
from serving.identity.institutions import require_institution
from serving.identity.local import LOCAL, operator
from serving.policy import Action, Target
from serving.problems import Problem


class NotPermittedError(ZhuzhenError):
    """A command may not be carried out, or what it does cannot be recorded."""


@contextmanager
def operating(
    guard: Guard, operation: str, action: Action, institution: str = LOCAL
) -> Iterator[Access]:
    """Yield the access of the operator, who does `operation`; may be used in any thread.

    Args:
        guard: of this installation.
        operation: name of the command, such as `users.add`.
        action: what it is in the policy.
        institution: that it is done for.

    Raises:
        NotPermittedError: the policy does not allow it, or the record takes no events.
        InstitutionError: there is no such institution.
    """
    if institution != LOCAL:
        require_institution(guard.engine, institution)
    try:
        yield guard.act(operator(institution), f"cli:{operation}", action)
    except Problem as problem:
        raise NotPermittedError(str(problem)) from None


def permit(
    guard: Guard,
    operation: str,
    action: Action,
    target: Target | None = None,
    *,
    institution: str = LOCAL,
) -> None:
    """Have it on disk that the operator does `operation`, as `operating` takes it.

    Args:
        target: what it is done to; by default something of the institution's own.

    Raises:
        NotPermittedError: the policy does not allow it, or the record takes no events.
        AuditUnavailableError: the event could not be written.
    """
    with operating(guard, operation, action, institution) as access:
        access.require(access.own("image") if target is None else target)
        access.settle()
