"""The durable workflow of a fetch: list, compare with what is here, retrieve what is missing.

Each try begins with what the archive has, so that a try after a kill, or after the PACS was away,
asks for the rest alone. What comes takes the same way as what is pushed, and the count that the
PACS listed says when the study is complete.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from dbos import DBOS, DBOSConfiguredInstance
from sqlalchemy import Connection, Row, Select, Table, select

from models.errors import ZhuzhenError
from serving.archive import Archive, InstanceRefusedError
from serving.archive import Origin as Sent
from serving.archive.entries import expect_instances, known_instances
from serving.faults import place_of
from serving.fetching.orders import FetchNotFoundError, find_fetch
from serving.fetching.origin import Keep, ListedInstance, Origin
from serving.fetching.tables import FETCHES, FetchState
from serving.jobs.delivering import give_up_after_s, pause_s
from serving.jobs.lanes import Lanes
from serving.jobs.planning import RESULTS_SOURCE
from serving.metrics import count_instance
from serving.routing import Node

_LOG = logging.getLogger("zhuzhen.fetching")
_MOST_FRUITLESS = 5
"""Tries in a row in which the PACS is there and nothing new comes, before the fetch is given up."""
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Fetched:
    """How a try ended."""

    done: bool
    can_heal: bool = True
    fruitless: bool = False
    """The PACS was there, and nothing came that was not here."""
    reason: str = ""
    listed: int | None = None
    here: int = 0


@dataclass(frozen=True, slots=True)
class FetchTools:
    """What fetches work with."""

    archive: Archive
    node: Node
    origins: Mapping[str, Origin]
    permit: Callable[[str, str], None]
    """Asked with institution and fetch before each try; raises where the policy forbids it."""
    fetched: Callable[[str, str, str], None]
    """Told of institution, fetch and study when something of the study has come."""
    wake: Callable[[], None] = lambda: None
    """Told when a study is here."""
    clock: Callable[[], float] = time.time


@DBOS.dbos_class()
class FetchWork(DBOSConfiguredInstance):
    """The workflow and what it works with."""

    _of_process: ClassVar["FetchWork | None"] = None

    def __init__(self, tools: FetchTools, lanes: Lanes) -> None:
        # Fetches are found again after a restart by this name.
        super().__init__("fetching")
        self._equip(tools, lanes)

    @classmethod
    def of_process(cls, tools: FetchTools, lanes: Lanes) -> "FetchWork":
        """Return the workflow of this process, working with `tools` from now on."""
        if cls._of_process is None:
            cls._of_process = cls(tools, lanes)
        cls._of_process._equip(tools, lanes)
        return cls._of_process

    def _equip(self, tools: FetchTools, lanes: Lanes) -> None:
        self._tools = tools
        self._lanes = lanes

    @DBOS.workflow()
    def fetch(self, fetch_id: str, lane: str) -> str:
        """Fetch a study, however long the PACS is away; returns the state of the end."""
        with self._lanes.held(lane, str(DBOS.workflow_id)):
            return self._fetch(fetch_id)

    def _fetch(self, fetch_id: str) -> str:
        tries = fruitless = 0
        waited_s = 0.0
        while True:
            tries += 1
            tried = self.try_fetch(fetch_id, waited_s)
            fruitless = fruitless + 1 if tried["fruitless"] else 0
            if tried["done"]:
                return FetchState.DONE.value
            if not tried["can_heal"] or fruitless >= _MOST_FRUITLESS:
                self.give_up(fetch_id)
                return FetchState.FAILED.value
            DBOS.sleep(pause_s(tries))
            waited_s += pause_s(tries)

    @DBOS.step()
    def try_fetch(self, fetch_id: str, waited_s: float) -> dict[str, Any]:
        """Bring here what is missing, as far as the PACS gives it; `waited_s` as in deliveries."""
        tools = self._tools
        row = self._row(fetch_id)
        if row is None:
            return asdict(Fetched(done=False, can_heal=False))
        if row.state != FetchState.QUEUED.value:
            return asdict(Fetched(done=row.state == FetchState.DONE.value, can_heal=False))
        tried = self._try(row)
        source = tools.node.source_of(row.source)
        patience_s = give_up_after_s((source and source.fetch) or {})
        can_heal = tried.can_heal and waited_s <= patience_s
        tools.archive.write(lambda connection: _note(connection, fetch_id, tried, tools.clock()))
        tools.wake()
        return asdict(tried) | {"can_heal": can_heal}

    @DBOS.step(retries_allowed=True, max_attempts=6, interval_seconds=0.5)
    def give_up(self, fetch_id: str) -> None:
        """Put a fetch on the list of those that failed; its reason stands there already."""
        now = self._tools.clock()
        self._tools.archive.write(
            lambda connection: _end(connection, fetch_id, FetchState.FAILED, now)
        )

    def _row(self, fetch_id: str) -> Row[Any] | None:
        """Return the row of a fetch, None where its study was erased meanwhile."""
        with self._tools.archive.engine.connect() as connection:
            try:
                return find_fetch(connection, fetch_id)
            except FetchNotFoundError:
                return None

    def _try(self, row: Row[Any]) -> Fetched:
        origin = self._tools.origins.get(row.source)
        if origin is None:
            return Fetched(False, can_heal=False, reason="The source has no `fetch` in node.yaml.")
        try:
            self._tools.permit(row.institution, row.id)
            return self._bring(row, origin)
        except ZhuzhenError as error:
            can_heal = bool(getattr(error, "can_heal", False))
            return Fetched(False, can_heal=can_heal, reason=str(error))
        except Exception as error:  # noqa: BLE001 - networks and their libraries fail in many ways
            _LOG.warning("Fetching from %s failed: %s", row.source, place_of(error))
            return Fetched(False, reason=f"{type(error).__name__}; the log of the node says where.")

    def _bring(self, row: Row[Any], origin: Origin) -> Fetched:
        listed = origin.list_instances(row.study_uid)
        if not listed:
            return Fetched(False, can_heal=False, reason="The PACS has no such study.", listed=0)
        before = self._missing(row, listed, expecting=True)
        refused: list[str] = []
        without_space = self._tools.archive.refused_for_space
        if before:
            origin.retrieve(row.study_uid, before, self._keeping(row, refused))
        if self._row(row.id) is None:
            return Fetched(False, can_heal=False)
        missing = self._missing(row, listed)
        here = len(listed) - len(missing)
        if not missing or len(missing) < len(before):
            self._tools.fetched(row.institution, row.id, row.study_uid)
        if not missing:
            return Fetched(True, listed=len(listed), here=here)
        told = f"{len(missing)} of {len(listed)} instances did not come"
        if refused:
            told += f"; {len(refused)} came and were refused ({', '.join(sorted(set(refused)))})"
        return Fetched(
            False,
            # Where there was no space for it, the PACS is not to blame.
            fruitless=len(missing) == len(before)
            and without_space == self._tools.archive.refused_for_space,
            reason=f"{told}.",
            listed=len(listed),
            here=here,
        )

    def _keeping(self, row: Row[Any], refused: list[str]) -> Keep:
        """Return what keeps what comes for a fetch, as long as nobody has erased its study."""
        sent = Sent(row.institution, row.source)

        def keep(data_set: bytes | memoryview, syntax: str) -> None:
            if self._row(row.id) is None:
                return
            try:
                receipt = self._tools.archive.receive(data_set, syntax, sent)
            except InstanceRefusedError as error:
                count_instance("fetch", error.refusal.value)
                refused.append(error.refusal.value)
                return
            count_instance("fetch", receipt.kept.value)

        return keep

    def _missing(
        self, row: Row[Any], listed: list[ListedInstance], *, expecting: bool = False
    ) -> list[ListedInstance]:
        """Return what of a study is not here; the study is told what to expect where asked."""
        uids = [each.sop_instance_uid for each in listed]
        with self._tools.archive.reading() as connection:
            known = known_instances(connection, row.institution, row.study_uid)
        if expecting:
            ours = {uid for uid, source in known.items() if source == RESULTS_SOURCE}
            count = len(set(uids) - ours)
            self._tools.archive.write(
                lambda connection: expect_instances(
                    connection, row.institution, row.study_uid, count
                )
            )
        return [each for each in listed if each.sop_instance_uid not in known]


class Fetching:
    """Fetches as a duty of the worker (`serving.jobs.duties`), urgent ones before others."""

    table: Table = FETCHES
    open_states = (FetchState.QUEUED.value,)

    def __init__(self, tools: FetchTools) -> None:
        self._tools = tools
        self._work: FetchWork | None = None
        self._sources = {f"fetch-{name}": name for name in tools.origins}
        self.slots = dict.fromkeys(self._sources, _AT_ONCE)

    @property
    def workflow(self) -> Callable[[str, str], str]:
        """What carries a fetch out."""
        assert self._work is not None  # noqa: S101 - prepared before anything begins
        return self._work.fetch

    def prepare(self, lanes: Lanes) -> None:
        """Make the workflow known to DBOS, before it is launched."""
        self._work = FetchWork.of_process(self._tools, lanes)

    def in_order(self, lane: str) -> Select[Any]:
        """Return the query of the fetches from a lane's source; see `Duty`."""
        return (
            select(FETCHES.c.id, FETCHES.c.attempt)
            .where(FETCHES.c.source == self._sources[lane])
            .order_by(FETCHES.c.urgent.desc(), FETCHES.c.created_at)
        )

    def claimed(self, connection: Connection, row_id: str) -> None:
        """Do nothing: a fetch is queued until it has ended."""


def _note(connection: Connection, fetch_id: str, tried: Fetched, now: float) -> None:
    values: dict[str, Any] = {
        "tries": FETCHES.c.tries + 1,
        "reason": tried.reason,
        "updated_at": now,
    }
    if tried.listed is not None:
        values |= {"listed": tried.listed, "here": tried.here}
    connection.execute(FETCHES.update().where(FETCHES.c.id == fetch_id).values(values))
    if tried.done:
        _end(connection, fetch_id, FetchState.DONE, now)


def _end(connection: Connection, fetch_id: str, state: FetchState, now: float) -> None:
    """End a fetch, unless somebody has cancelled it meanwhile."""
    connection.execute(
        FETCHES.update()
        .where(FETCHES.c.id == fetch_id, FETCHES.c.state == FetchState.QUEUED.value)
        .values(state=state.value, updated_at=now)
    )
