"""What is to be fetched: ordered, listed, noted. Needs no DBOS and no PACS."""

import secrets
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, select

from models.errors import ZhuzhenError
from models.findings import Text
from serving.archive.header import is_uid
from serving.audit.events import FETCH
from serving.fetching.tables import FETCHES, FetchState
from serving.routing import Node, Source

_URGENT_FOR_S = 24 * 3600.0
"""For how long what comes of a study is urgent after it was asked for as such."""


class FetchOrderError(ZhuzhenError, ValueError):
    """Something cannot be fetched as it was asked for."""

    def __init__(self, told: Text) -> None:
        super().__init__(told.en)
        self.told = told


class FetchNotFoundError(ZhuzhenError, LookupError):
    """There is no such fetch."""

    def __init__(self) -> None:
        # What was asked for is not repeated: it is the sender's, who may have put a patient there.
        self.told = Text(
            "There is no such fetch; the list of fetches has those that there are.",
            "没有该调取任务；请查看调取列表。",
        )
        super().__init__(self.told.en)


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


def source_to_fetch_from(node: Node, name: str, institution: str | None = None) -> Source:
    """Return the source of that name, of `institution` if one is given.

    Raises:
        FetchOrderError: there is none, or `node.yaml` does not say how it is asked.
    """
    able = {
        each.name: each
        for each in node.sources
        if each.fetch is not None and institution in (None, each.institution)
    }
    if name not in able:
        raise FetchOrderError(_no_source(", ".join(able)))
    return able[name]


def order_fetch(
    connection: Connection,
    source: Source,
    study_uid: str,
    *,
    urgent: bool,
    now: float | None = None,
) -> str:
    """Queue a study to be fetched; return the identifier of the fetch.

    One that waits already is not queued twice; it may become urgent.

    Raises:
        FetchOrderError: `study_uid` is no UID.
    """
    if not is_uid(study_uid):
        raise FetchOrderError(_NO_UID)
    waiting = _waiting(connection, source, study_uid, urgent=urgent)
    if waiting is not None:
        return waiting
    moment = time.time() if now is None else now
    fetch_id = f"{FETCH}{secrets.token_hex(6)}"
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


def _waiting(connection: Connection, source: Source, study_uid: str, *, urgent: bool) -> str | None:
    """Return the fetch of a study that waits already, urgent if it was or is now."""
    found = connection.execute(
        select(FETCHES.c.id, FETCHES.c.urgent).where(
            FETCHES.c.source == source.name,
            FETCHES.c.study_uid == study_uid,
            FETCHES.c.state == FetchState.QUEUED.value,
        )
    ).first()
    if found is None:
        return None
    if urgent and not found.urgent:
        connection.execute(FETCHES.update().where(FETCHES.c.id == found.id).values(urgent=True))
    return str(found.id)


def was_urgent(connection: Connection, institution: str, study_uid: str, now: float) -> bool:
    """Whether a study was lately asked for as urgent, by whichever way it then came."""
    found = connection.execute(
        select(FETCHES.c.id).where(
            FETCHES.c.institution == institution,
            FETCHES.c.study_uid == study_uid,
            FETCHES.c.urgent,
            FETCHES.c.created_at > now - _URGENT_FOR_S,
        )
    )
    return found.first() is not None


def list_fetches(
    engine: Engine,
    state: str | None = None,
    limit: int = 100,
    *,
    institution: str | None = None,
) -> list[FetchLine]:
    """Return the newest fetches first, of all institutions or of one; `state` is a `FetchState`.

    Raises:
        FetchOrderError: there is no such state.
    """
    query = select(FETCHES).order_by(FETCHES.c.created_at.desc()).limit(limit)
    if state is not None:
        if state not in tuple(FetchState):
            raise FetchOrderError(_NO_STATE)
        query = query.where(FETCHES.c.state == state)
    if institution is not None:
        query = query.where(FETCHES.c.institution == institution)
    with engine.connect() as connection:
        return [line_of(row) for row in connection.execute(query)]


def find_fetch(connection: Connection, fetch_id: str) -> Row[Any]:
    """Return the row of a fetch.

    Raises:
        FetchNotFoundError: there is none.
    """
    row = connection.execute(select(FETCHES).where(FETCHES.c.id == fetch_id)).one_or_none()
    if row is None:
        raise FetchNotFoundError
    return row


def cancel_fetch(connection: Connection, fetch_id: str, now: float | None = None) -> None:
    """Have a fetch given up, at the latest before its next try; what has come stays.

    Raises:
        FetchNotFoundError: there is none.
        FetchOrderError: it has ended.
    """
    changed = connection.execute(
        FETCHES.update()
        .where(FETCHES.c.id == fetch_id, FETCHES.c.state == FetchState.QUEUED.value)
        .values(state=FetchState.CANCELLED.value, updated_at=time.time() if now is None else now)
    )
    if changed.rowcount != 1:
        raise FetchOrderError(_ended(fetch_id, find_fetch(connection, fetch_id).state))


def retry_fetch(connection: Connection, fetch_id: str, now: float | None = None) -> None:
    """Queue a fetch that failed anew; the running node takes it up.

    Raises:
        FetchNotFoundError: there is none.
        FetchOrderError: it did not fail.
    """
    row = find_fetch(connection, fetch_id)
    if row.state != FetchState.FAILED.value:
        raise FetchOrderError(_not_failed(fetch_id, row.state))
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


def line_of(row: Row[Any]) -> FetchLine:
    """Return a fetch as it is listed."""
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


_NO_UID = Text(
    "The study is not a UID (PS3.5 section 9.1): digits and full stops.",
    "检查编号不是有效的 UID（PS3.5 第 9.1 节）：只含数字和句点。",
)
_NO_STATE = Text(
    f"There is no such state of a fetch; expected one of {', '.join(FetchState)}.",
    f"没有该调取状态；应为 {'、'.join(FetchState)} 之一。",
)


def _no_source(able: str) -> Text:
    return Text(
        "This is no source with `fetch` in node.yaml that you may use; those that are: "
        f"{able or 'none'}.",
        f"node.yaml 中没有您可使用的该调取来源；可用来源：{able or '无'}。",
    )


def _ended(fetch_id: str, state: str) -> Text:
    return Text(
        f"{fetch_id} is {state}; only what is queued can be cancelled.",
        f"{fetch_id} 的状态为 {state}；只有排队中的任务可以取消。",
    )


def _not_failed(fetch_id: str, state: str) -> Text:
    return Text(
        f"{fetch_id} is {state}; only what failed can be retried.",
        f"{fetch_id} 的状态为 {state}；只有失败的任务可以重试。",
    )
