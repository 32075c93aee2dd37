"""What `zhuzhen doctor` finds among jobs, deliveries and what was refused: what to see to.

It changes nothing, and needs neither keys nor a running node.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlalchemy import Connection, Row, func, inspect, select
from sqlalchemy.engine import make_url

from models.findings import Text
from serving.archive.tables import QUARANTINE
from serving.check import Check, State
from serving.jobs.tables import DELIVERIES, JOBS, DeliveryState, JobState
from serving.records import database_url, open_engine
from serving.routing import read_node
from serving.routing.node_file import FILE, NodeFileError

_TRIED_OFTEN = 5
"""Tries after which a destination counts as away, half a minute after the first."""


def deliveries(home: Path, environment: Mapping[str, str]) -> Iterator[Check]:
    """Say what is not delivered, failed or was refused; nothing where all is well."""
    url = database_url(environment, home)
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        return
    try:
        known = tuple(read_node(home / FILE).destinations)
    except (NodeFileError, OSError, UnicodeDecodeError):
        # Told of where the file is looked at.
        return
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            if inspect(connection).has_table(DELIVERIES.name):
                yield from _gone(connection, known)
                yield from _away(connection, known)
                yield from _dead(connection, known)
                yield from _set_apart(connection)
    finally:
        engine.dispose()


def _gone(connection: Connection, known: tuple[str, ...]) -> Iterator[Check]:
    found = connection.execute(
        select(DELIVERIES.c.destination).where(
            DELIVERIES.c.state != DeliveryState.DONE.value, DELIVERIES.c.destination.not_in(known)
        )
    )
    for name, count in sorted(Counter(found.scalars()).items()):
        told = Text(
            f"{count} deliveries are for {name}, which is not in {FILE}: nothing of them is sent. "
            "Put it back, and they are sent after the next start.",
            f"{count} 项投递的目的地 {name} 不在 {FILE} 中，不会发送；"
            "恢复该目的地并重启后将自动发送。",
        )
        yield Check("deliveries", State.WARNING, told)


def _away(connection: Connection, known: tuple[str, ...]) -> Iterator[Check]:
    rows = _by_destination(connection, known, DeliveryState.QUEUED)
    for row in rows:
        if row.most < _TRIED_OFTEN:
            continue
        told = Text(
            f"{row.deliveries} deliveries wait for {row.destination}, which was tried {row.most} "
            "times. zhuzhen jobs list says why; they are sent by themselves once it takes them.",
            f"{row.deliveries} 项投递在等待 {row.destination}，已尝试 {row.most} 次；"
            "原因见 zhuzhen jobs list，恢复后将自动发送。",
        )
        yield Check("deliveries", State.WARNING, told)


def _dead(connection: Connection, known: tuple[str, ...]) -> Iterator[Check]:
    jobs = connection.execute(
        select(func.count()).select_from(JOBS).where(JOBS.c.state == JobState.FAILED.value)
    ).scalar_one()
    rows = _by_destination(connection, known, DeliveryState.FAILED)
    sent = sum(row.deliveries for row in rows)
    if jobs or sent:
        told = Text(
            f"{jobs} jobs and {sent} deliveries are on the dead-letter list: see zhuzhen jobs list "
            "--state dead, mend what it says, and zhuzhen jobs retry each.",
            f"死信列表中有 {jobs} 个任务和 {sent} 项投递：请查看 zhuzhen jobs list --state dead，"
            "排除原因后用 zhuzhen jobs retry 重试。",
        )
        yield Check("dead_letters", State.WARNING, told)


def _set_apart(connection: Connection) -> Iterator[Check]:
    count = connection.execute(select(func.count()).select_from(QUARANTINE)).scalar_one()
    if count:
        told = Text(
            f"{count} instances were refused and lie in quarantine: see zhuzhen node quarantine, "
            "and accept or discard each.",
            f"隔离区中有 {count} 个被拒收的实例："
            "请查看 zhuzhen node quarantine，并逐一采纳或删除。",
        )
        yield Check("quarantine", State.WARNING, told)


def _by_destination(
    connection: Connection, known: tuple[str, ...], state: DeliveryState
) -> list[Row[str, int, int]]:
    found = connection.execute(
        select(
            DELIVERIES.c.destination,
            func.count().label("deliveries"),
            func.max(DELIVERIES.c.tries).label("most"),
        )
        .where(DELIVERIES.c.state == state.value, DELIVERIES.c.destination.in_(known))
        .group_by(DELIVERIES.c.destination)
        .order_by(DELIVERIES.c.destination)
    )
    return list(found)
