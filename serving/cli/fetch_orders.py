"""What the commands of `zhuzhen node` do, as the operator of the machine."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models import store
from serving.access import POST, Guard
from serving.cli.operating import operating, permit
from serving.doors.patients import patient_numbered
from serving.fetching.ordering import Order, on_record, place_order
from serving.fetching.orders import (
    FetchLine,
    cancel_fetch,
    find_fetch,
    list_fetches,
    retry_fetch,
    source_to_fetch_from,
)
from serving.policy import Action, Target
from serving.records import writing
from serving.routing import read_node


def order(source_name: str, wanted: Order) -> list[str]:
    """Queue what was asked for; return the identifiers of the fetches.

    Raises:
        FetchOrderError: the source is not one to fetch from, or nothing was found.
        PeerError: the PACS did not answer the search.
        NotPermittedError: the policy does not allow it.
    """
    node = read_node()
    source = source_to_fetch_from(node, source_name)
    with (
        POST.manned() as guard,
        operating(guard, "node.fetch", Action.FETCH_STUDY, source.institution) as access,
    ):
        access.require(access.own("study", patient_numbered(access, wanted.patient_id)))
        access.settle()
        return place_order(guard.engine, node, source, wanted, store.home(), on_record(access))


def cancel(fetch_id: str) -> None:
    """Have a fetch given up.

    Raises:
        FetchNotFoundError: there is none.
        FetchOrderError: it has ended.
        NotPermittedError: the policy does not allow it.
    """
    with _about(fetch_id, "node.cancel-fetch") as guard, writing(guard.engine) as connection:
        cancel_fetch(connection, fetch_id)


def retry(fetch_id: str) -> None:
    """Queue a fetch that failed anew.

    Raises:
        FetchNotFoundError: there is none.
        FetchOrderError: it did not fail.
        NotPermittedError: the policy does not allow it.
    """
    with _about(fetch_id, "node.retry-fetch") as guard, writing(guard.engine) as connection:
        retry_fetch(connection, fetch_id)


def show(state: str | None, limit: int) -> list[FetchLine]:
    """Return the newest fetches of all institutions.

    Raises:
        FetchOrderError: there is no such state.
        NotPermittedError: the policy does not allow it.
    """
    with POST.manned() as guard:
        permit(guard, "node.fetches", Action.READ_JOBS, Target("job"))
        return list_fetches(guard.engine, state, limit)


@contextmanager
def _about(fetch_id: str, operation: str) -> Iterator[Guard]:
    """Have it on record that the operator does something to a fetch."""
    with POST.manned() as guard:
        with guard.engine.connect() as connection:
            institution = find_fetch(connection, fetch_id).institution
        target = Target("study", institution, object_id=fetch_id)
        permit(guard, operation, Action.FETCH_STUDY, target, institution=institution)
        yield guard


def read_number(file: Path) -> str:
    """Return the number of a patient in `file`, `-` for standard input."""
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    return text.strip()
