"""Having studies fetched: what was asked for is searched for where it must be, and queued."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Engine

from models.findings import Text
from serving.access import Access
from serving.doors.patients import patient_numbered
from serving.fetching.entries import origin_of
from serving.fetching.orders import FetchOrderError, order_fetch
from serving.fetching.origin import Criteria, FoundStudy, Origin
from serving.records import writing
from serving.routing import Node, Source


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be fetched from one source: studies, or those that a PACS finds."""

    studies: tuple[str, ...] = ()
    """Study Instance UIDs."""
    accession_number: str = ""
    patient_id: str = ""
    priors: int = 0
    """So many earlier studies of the patient as well, as a routine."""
    urgent: bool = False

    @property
    def needs_search(self) -> bool:
        """Whether the PACS must be asked before anything can be queued."""
        return bool(self.accession_number or self.patient_id or self.priors)


@dataclass(frozen=True, slots=True)
class Ordered:
    """One study that is queued."""

    fetch_id: str
    patient_id: str
    """As the search of the PACS told it; empty where it was not asked."""


def place_order(
    engine: Engine,
    node: Node,
    source: Source,
    order: Order,
    folder: Path,
    record: Callable[[Sequence[Ordered]], None],
) -> list[str]:
    """Queue what was asked for; return the identifiers of the fetches.

    Takes as long as the PACS takes to answer a search. What is queued is told to `record` before
    it is; where that raises, nothing is queued.

    Raises:
        FetchOrderError: nothing was asked for or found.
        PeerSettingError: the entry of the source cannot be used.
        PeerError: the PACS did not answer the search.
    """
    if not (order.studies or order.accession_number or order.patient_id):
        raise FetchOrderError(_NOTHING_ASKED)
    wanted = dict.fromkeys(order.studies, "")
    earlier: list[FoundStudy] = []
    if order.needs_search:
        origin = origin_of(source, node, folder)
        found = _search(origin, order)
        wanted |= {study.study_uid: study.patient_id for study in found}
        earlier = _priors(origin, found, order.priors)
    if not wanted:
        raise FetchOrderError(_nothing_found(source.name))
    asked = [(uid, patient_id, order.urgent) for uid, patient_id in wanted.items()]
    asked += [(study.study_uid, study.patient_id, False) for study in earlier]
    with writing(engine) as connection:
        ordered = [
            Ordered(order_fetch(connection, source, uid, urgent=urgent), patient_id)
            for uid, patient_id, urgent in asked
        ]
        record(ordered)
    return list(dict.fromkeys(each.fetch_id for each in ordered))


def on_record(access: Access) -> Callable[[Sequence[Ordered]], None]:
    """Return what records who orders each fetch, and of whom as far as it is known by then.

    Of what names nobody, the fetch says later whose it is (`serving.audit.queries`).
    """

    def record(ordered: Sequence[Ordered]) -> None:
        for each in ordered:
            target = access.own("study", patient_numbered(access, each.patient_id))
            access.require(replace(target, object_id=each.fetch_id))
        access.settle()

    return record


_NOTHING_ASKED = Text(
    "Nothing was asked for; name studies by their UIDs, an Accession Number or a patient.",
    "未指定调取内容；请提供检查 UID、检查号或患者编号。",
)


def _nothing_found(source: str) -> Text:
    return Text(
        f"{source} has nothing that fits what was asked for.",
        f"{source} 中没有符合条件的检查。",
    )


def _search(origin: Origin, order: Order) -> list[FoundStudy]:
    found = [each for uid in order.studies for each in origin.find(Criteria(study_uid=uid))]
    if order.accession_number or order.patient_id:
        found += origin.find(Criteria("", order.accession_number, order.patient_id))
    return found


def _priors(origin: Origin, found: Sequence[FoundStudy], count: int) -> list[FoundStudy]:
    """Return the newest `count` studies of each patient that are older than what was found."""
    earlier: list[FoundStudy] = []
    if not count:
        return earlier
    known = {study.study_uid for study in found}
    for patient_id in dict.fromkeys(study.patient_id for study in found if study.patient_id):
        first = min(study.study_date for study in found if study.patient_id == patient_id)
        others = [
            study
            for study in origin.find(Criteria(patient_id=patient_id))
            if study.study_uid not in known and study.study_date <= first
        ]
        others.sort(key=lambda study: study.study_date, reverse=True)
        earlier += others[:count]
    return earlier
