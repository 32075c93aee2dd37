"""What `zhuzhen node fetch` and `cancel-fetch` do, as the operator of the machine."""

import sys
from pathlib import Path

from models import store
from serving.access import POST
from serving.cli.operating import permit
from serving.fetching.ordering import Order, place_order
from serving.fetching.orders import cancel_fetch, find_fetch, source_to_fetch_from
from serving.policy import Action
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
    with POST.manned() as guard:
        permit(guard, "node.fetch", Action.FETCH_STUDY, institution=source.institution)
        return place_order(guard.engine, node, source, wanted, store.home())


def cancel(fetch_id: str) -> None:
    """Have a fetch given up.

    Raises:
        FetchNotFoundError: there is none.
        FetchOrderError: it has ended.
        NotPermittedError: the policy does not allow it.
    """
    with POST.manned() as guard:
        with guard.engine.connect() as connection:
            institution = find_fetch(connection, fetch_id).institution
        permit(guard, "node.cancel-fetch", Action.FETCH_STUDY, institution=institution)
        with writing(guard.engine) as connection:
            cancel_fetch(connection, fetch_id)


def read_number(file: Path) -> str:
    """Return the number of a patient in `file`, `-` for standard input."""
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    return text.strip()
