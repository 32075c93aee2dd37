"""Rows of the index: how instances get into it, many in one transaction."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from serving.archive.entries import (
    ACCESSION_NUMBER,
    PATIENT_ID,
    Entry,
    differs,
    find_digest,
    insert_into,
    other_patient,
    plain_text,
    sealed,
    stated_patient,
    text_of,
)
from serving.archive.errors import StudyGoneError
from serving.archive.header import InstanceHeader
from serving.archive.places import Key, Place, Places
from serving.archive.tables import EXPECTED, INSTANCES, SERIES, STUDIES, StudyState
from serving.privacy import Keyring, blind_index
from serving.records import Prepared

_STUDY, _SERIES, _INSTANCE = "archive_studies", "archive_series", "archive_instances"
_INSERT = {
    name: Prepared(
        into(INSTANCES)
        .values({name: bindparam(name) for name in INSTANCES.columns.keys() if name != "id"})  # noqa: SIM118
        .on_conflict_do_nothing(index_elements=["institution", "sop_instance_uid"])
        .inline()
    )
    for name, into in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}


@dataclass(frozen=True, slots=True)
class Coming:
    """An instance on its way into the index."""

    entry: Entry
    at: float
    """Seconds of the epoch."""
    reopens: bool
    """Whether it opens a study anew that was complete."""


def insert_instances(
    connection: Connection, keyring: Keyring, coming: Sequence[Coming], places: Places
) -> list[str | None]:
    """Add instances; return of each None, or the digest of the one that has its UID already.

    A new instance of a study that was complete opens the study anew if it `reopens`.

    Raises:
        InstanceRefusedError: the study of one is another patient's.
        StudyGoneError: the study of one that reopens nothing was erased.
    """
    batch = _Batch(connection, keyring, coming, places)
    known = [batch.insert(each) for each in coming]
    batch.correct()
    return known


class _Batch:
    """Instances that come together: their study is changed once for all of a series."""

    def __init__(
        self, connection: Connection, keyring: Keyring, coming: Sequence[Coming], places: Places
    ) -> None:
        self._connection = connection
        self._keyring = keyring
        self._places = places
        opening = [each for each in coming if each.reopens]
        self._latest = {each.entry.key: each for each in opening}
        self._uncounted = Counter(each.entry.key for each in opening)
        """Those that their study does not count yet."""
        self._surplus: Counter[Key] = Counter()
        """Those that it counts, and that were known."""
        self._counted: dict[Key, Place] = {}
        """Where all are counted."""

    def insert(self, coming: Coming) -> str | None:
        """Add one; return None, or the digest of the one that has its UID already."""
        entry, uid = coming.entry, coming.entry.header.sop_instance_uid
        place = self._place_of(coming) if coming.reopens else None
        if place is None:
            known = find_digest(self._connection, entry.institution, uid)
            if known is not None:
                return known
            place = self._make_place(coming)
        if self._add(coming, place):
            return None
        self._surplus[coming.entry.key] += coming.reopens
        return find_digest(self._connection, entry.institution, uid)

    def correct(self) -> None:
        """Take back what was counted too much."""
        for key, surplus in self._surplus.items():
            if surplus:
                self._count(key, -surplus)

    def _place_of(self, coming: Coming) -> Place | None:
        """Return the place, if it is known here, once its study counts all that come to it."""
        key = coming.entry.key
        if key not in self._counted:
            place = self._count(key, self._uncounted[key])
            self._uncounted[key] -= 1
            if place is None:
                return None
            self._counted[key] = place
        return self._counted[key]

    def _count(self, key: Key, more: int) -> Place | None:
        latest = self._latest[key]
        return self._places.touch(self._connection, key, latest.entry.source, latest.at, more)

    def _make_place(self, coming: Coming) -> Place:
        """Have a place where none is known here; its study counts `coming`."""
        connection, keyring, entry = self._connection, self._keyring, coming.entry
        study_id, patient_index = _study(
            connection, keyring, entry, coming.at, reopens=coming.reopens
        )
        series_id = _series(connection, keyring, entry.header, study_id)
        place = Place(study_id, series_id, patient_index)
        self._places.remember(coming.entry.key, place)
        return place

    def _add(self, coming: Coming, place: Place) -> bool:
        """Add a row, unless its UID has one."""
        entry, header = coming.entry, coming.entry.header
        attributes = header.instance | header.routing
        values = {
            "institution": entry.institution,
            "sop_instance_uid": header.sop_instance_uid,
            "series_id": place.series_id,
            "sop_class_uid": header.sop_class_uid,
            "transfer_syntax_uid": entry.transfer_syntax_uid,
            "digest": entry.stored.digest,
            "size": entry.stored.size,
            "attributes": sealed(self._keyring, attributes, _INSTANCE),
            "received_at": coming.at,
            "source": entry.source,
        }
        inserted = _INSERT[self._connection.dialect.name].run(self._connection, values)
        return bool(inserted.rowcount == 1)


def _study(
    connection: Connection, keyring: Keyring, entry: Entry, now: float, *, reopens: bool
) -> tuple[int, str]:
    """Return number and patient of the study, made or counted up for what `reopens` it."""
    if not reopens:
        return _known_study(connection, keyring, entry)
    values = _values_of(keyring, entry, now)
    statement = insert_into(connection, STUDIES).values(values)
    opened = {
        "state": StudyState.RECEIVING.value,
        "last_received_at": now,
        "instances": STUDIES.c.instances + 1,
        "source": entry.source,
    }
    found = statement.on_conflict_do_update(
        index_elements=["institution", "study_uid"], set_=opened
    ).returning(STUDIES.c.id, STUDIES.c.patient_index)
    row = connection.execute(found).one()
    if differs(keyring, row.patient_index, entry.header):
        raise other_patient()
    if not stated_patient(entry.header) or row.patient_index == values["patient_index"]:
        return int(row.id), str(row.patient_index)
    # Until now nobody was stated; from now on the study is this patient's.
    whose = {key: values[key] for key in ("patient_index", "accession_index", "attributes")}
    connection.execute(STUDIES.update().where(STUDIES.c.id == row.id).values(whose))
    return int(row.id), str(values["patient_index"])


def _values_of(keyring: Keyring, entry: Entry, now: float) -> dict[str, Any]:
    """Return the row of a study whose first instance is `entry`."""
    attributes = entry.header.study
    return {
        "institution": entry.institution,
        "study_uid": entry.header.study_uid,
        "study_date": plain_text(attributes, "00080020", 8),
        "patient_index": blind_index(keyring, stated_patient(entry.header), PATIENT_ID),
        "accession_index": blind_index(keyring, text_of(attributes, "00080050"), ACCESSION_NUMBER),
        "attributes": sealed(keyring, attributes, _STUDY),
        "source": entry.source,
        "state": StudyState.RECEIVING.value,
        "version": 0,
        "expected": select(EXPECTED.c.instances)
        .where(
            EXPECTED.c.institution == entry.institution,
            EXPECTED.c.study_uid == entry.header.study_uid,
        )
        .scalar_subquery(),
        "first_received_at": now,
        "last_received_at": now,
        "instances": 1,
    }


def _known_study(connection: Connection, keyring: Keyring, entry: Entry) -> tuple[int, str]:
    """Return the study of what this node made.

    Raises:
        StudyGoneError: it was erased.
        InstanceRefusedError: it is another patient's.
    """
    found = select(STUDIES.c.id, STUDIES.c.patient_index).where(
        STUDIES.c.institution == entry.institution, STUDIES.c.study_uid == entry.header.study_uid
    )
    row = connection.execute(found).first()
    if row is None:
        raise StudyGoneError
    if differs(keyring, row.patient_index, entry.header):
        raise other_patient()
    return int(row.id), str(row.patient_index)


def _series(connection: Connection, keyring: Keyring, header: InstanceHeader, study_id: int) -> int:
    values = {
        "study_id": study_id,
        "series_uid": header.series_uid,
        "modality": plain_text(header.series, "00080060", 16),
        "attributes": sealed(keyring, header.series, _SERIES),
    }
    statement = insert_into(connection, SERIES).values(values)
    kept = statement.on_conflict_do_update(
        index_elements=["study_id", "series_uid"], set_={"series_uid": header.series_uid}
    ).returning(SERIES.c.id)
    return int(connection.execute(kept).scalar_one())
