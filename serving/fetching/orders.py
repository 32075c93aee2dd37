"""What is to be fetched: ordered, listed, noted. Needs no DBOS and no PACS."""

import secrets
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, select

from models.errors import ZhuzhenError
from serving.archive.header import is_uid
from serving.fetching.tables import FETCHES, FetchState
from serving.routing import Node, Source


class FetchOrderError(ZhuzhenError, ValueError):
    """Something cannot be fetched as it was asked for."""


class FetchNotFoundError(ZhuzhenError, LookupError):
    """There is no such fetch."""


@dataclass(frozen=True, slots=True)
class FetchLine:
    """One fetch in a list."""

    id: str
    source: str
    study_instance_uid: str
    priority: str
    state: str
    reason: str
    listed: int | None
    here: int
    tries: int
    created_at: float


def source_to_fetch_from(node: Node, name: str) -> Source:
    """Return the source of that name.

    Raises:
        FetchOrderError: there is none, or `node.yaml` does not say how it is asked.
    """
    source = node.source_of(name)
    if source is None or source.fetch is None:
        able = ", ".join(each.name for each in node.sources if each.fetch) or "none"
        raise FetchOrderError(
            f"{name!r} is no source with `fetch` in node.yaml; sources that have it: {able}."
        )
    return source


def order_fetch(
    connection: Connection,
    source: Source,
    study_uid: str,
    *,
    urgent: bool,
    now: float | None = None,
) -> str:
    """Queue a study to be fetched; return the identifier of the fetch.

    One that waits already is not queued twice.

    Raises:
        FetchOrderError: `study_uid` is no UID.
    """
    if not is_uid(study_uid):
        raise FetchOrderError("The study is not a UID (PS3.5 section 9.1): digits and full stops.")
    waiting = connection.execute(
        select(FETCHES.c.id).where(
            FETCHES.c.source == source.name,
            FETCHES.c.study_uid == study_uid,
            FETCHES.c.state == FetchState.QUEUED.value,
        )
    ).scalar()
    if waiting is not None:
        return str(waiting)
    moment = time.time() if now is None else now
    fetch_id = f"fetch-{secrets.token_hex(6)}"
    connection.execute(
        FETCHES.insert().values(
            id=fetch_id,
            source=source.name,
            institution=source.institution,
            study_uid=study_uid,
            urgent=urgent,
            state=FetchState.QUEUED.value,
            reason="",
            here=0,
            tries=0,
            attempt=1,
            enqueued_attempt=0,
            created_at=moment,
            updated_at=moment,
        )
    )
    return fetch_id


def list_fetches(engine: Engine, state: str | None = None, limit: int = 100) -> list[FetchLine]:
    """Return the newest fetches first; `state` is one of `FetchState`.

    Raises:
        FetchOrderError: there is no such state.
    """
    query = select(FETCHES).order_by(FETCHES.c.created_at.desc()).limit(limit)
    if state is not None:
        if state not in tuple(FetchState):
            raise FetchOrderError(
                f"{state!r} is no state of a fetch; expected {', '.join(FetchState)}."
            )
        query = query.where(FETCHES.c.state == state)
    with engine.connect() as connection:
        return [_line(row) for row in connection.execute(query)]


def find_fetch(connection: Connection, fetch_id: str) -> Row[Any]:
    """Return the row of a fetch.

    Raises:
        FetchNotFoundError: there is none.
    """
    row = connection.execute(select(FETCHES).where(FETCHES.c.id == fetch_id)).one_or_none()
    if row is None:
        raise FetchNotFoundError(
            f"There is no fetch {fetch_id!r}; `zhuzhen node fetches` has them."
        )
    return row


def retry_fetch(connection: Connection, fetch_id: str, now: float | None = None) -> None:
    """Queue a fetch that failed anew; the running node takes it up.

    Raises:
        FetchNotFoundError: there is none.
        FetchOrderError: it did not fail.
    """
    row = find_fetch(connection, fetch_id)
    if row.state != FetchState.FAILED.value:
        raise FetchOrderError(f"{fetch_id} is {row.state}; only what failed can be retried.")
    moment = time.time() if now is None else now
    connection.execute(
        FETCHES.update()
        .where(FETCHES.c.id == fetch_id)
        .values(
            state=FetchState.QUEUED.value,
            reason="",
            attempt=row.attempt + 1,
            created_at=moment,
            updated_at=moment,
        )
    )


def _line(row: Row[Any]) -> FetchLine:
    return FetchLine(
        id=row.id,
        source=row.source,
        study_instance_uid=row.study_uid,
        priority="urgent" if row.urgent else "routine",
        state=row.state,
        reason=row.reason,
        listed=row.listed,
        here=row.here,
        tries=row.tries,
        created_at=row.created_at,
    )
