"""Rows of the index: how one instance gets into it, and how it is found."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from serving.archive.errors import InstanceRefusedError, Refusal, StudyGoneError
from serving.archive.header import Attributes, InstanceHeader
from serving.archive.places import Place, Places
from serving.archive.tables import (
    EXPECTED,
    INSTANCES,
    QUARANTINE,
    SERIES,
    STUDIES,
    StudyState,
)
from serving.objects import StoredObject
from serving.privacy import Keyring, blind_index, seal, unseal
from serving.records import Prepared

_STUDY, _SERIES, _INSTANCE = "archive_studies", "archive_series", "archive_instances"
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
PATIENT_ID, ACCESSION_NUMBER = "archive.patient_id", "archive.accession_number"
"""Contexts of the blind indexes."""
_PATIENT = "00100020"
_DIGEST_OF = Prepared(
    select(INSTANCES.c.digest).where(
        INSTANCES.c.institution == bindparam("institution"),
        INSTANCES.c.sop_instance_uid == bindparam("sop_instance_uid"),
    )
)
_PATIENT_OF = Prepared(
    select(STUDIES.c.patient_index).where(
        STUDIES.c.institution == bindparam("institution"),
        STUDIES.c.study_uid == bindparam("study_uid"),
    )
)
_INSERT = Prepared(
    INSTANCES.insert()
    .values({name: bindparam(name) for name in INSTANCES.columns.keys() if name != "id"})  # noqa: SIM118
    .inline()
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One instance that is in the object store."""

    header: InstanceHeader
    transfer_syntax_uid: str
    stored: StoredObject
    institution: str
    source: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """What was sent and is not part of the archive."""

    institution: str
    source: str
    reason: str
    told: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    stored: StoredObject


def insert_instance(
    connection: Connection,
    keyring: Keyring,
    entry: Entry,
    now: float,
    places: Places,
    *,
    reopens: bool = True,
) -> str | None:
    """Add an instance; return None, or the digest of the one that has its UID already.

    A new instance of a study that was complete opens the study anew if it `reopens`.

    Raises:
        InstanceRefusedError: its study is another patient's.
    """
    header = entry.header
    known = find_digest(connection, entry.institution, header.sop_instance_uid)
    if known is not None:
        return known
    patient = text_of(header.study, _PATIENT)
    key = (entry.institution, header.study_uid, header.series_uid, patient)
    place = places.touch(connection, key, entry.source, now) if reopens else None
    if place is None:
        study_id = _study(connection, keyring, entry, now, reopens=reopens)
        place = Place(study_id, _series(connection, keyring, header, study_id))
        places.remember(key, place)
    _INSERT.run(
        connection,
        {
            "institution": entry.institution,
            "sop_instance_uid": header.sop_instance_uid,
            "series_id": place.series_id,
            "sop_class_uid": header.sop_class_uid,
            "transfer_syntax_uid": entry.transfer_syntax_uid,
            "digest": entry.stored.digest,
            "size": entry.stored.size,
            "attributes": sealed(keyring, header.instance | header.routing, _INSTANCE),
            "received_at": now,
            "source": entry.source,
        },
    )
    return None


def find_digest(connection: Connection, institution: str, sop_instance_uid: str) -> str | None:
    """Return the digest of the instance of that UID, None where there is none."""
    found = _DIGEST_OF.run(
        connection, {"institution": institution, "sop_instance_uid": sop_instance_uid}
    ).fetchone()
    return None if found is None else str(found[0])


def other_patient() -> InstanceRefusedError:
    """Return what refuses an instance whose study is another patient's."""
    return InstanceRefusedError(
        Refusal.OTHER_PATIENT,
        "Its study is known here as another patient's, by the Patient ID; this one is in "
        "quarantine. Correct the Patient ID or the Study Instance UID, and send it again.",
    )


def is_of_other_patient(connection: Connection, keyring: Keyring, entry: Entry) -> bool:
    """Whether the study of `entry` is known, as another patient's."""
    found = _PATIENT_OF.run(
        connection,
        {"institution": entry.institution, "study_uid": entry.header.study_uid},
    ).fetchone()
    return found is not None and _differs(keyring, str(found[0]), entry.header)


def are_of_different_patients(one: InstanceHeader, other: InstanceHeader) -> bool:
    """Whether two instances name different patients; one that is not stated is none."""
    patients = {text_of(header.study, _PATIENT) for header in (one, other)} - {""}
    return len(patients) > 1


def _differs(keyring: Keyring, index: str, header: InstanceHeader) -> bool:
    """Whether the patient of a study is another one; one that is not stated is none."""
    patient = text_of(header.study, _PATIENT)
    allowed = (blind_index(keyring, patient, PATIENT_ID), blind_index(keyring, "", PATIENT_ID))
    return bool(patient) and index not in allowed


def known_instances(connection: Connection, institution: str, study_uid: str) -> dict[str, str]:
    """Return the source of every instance of a study that is here, by SOP Instance UID."""
    found = connection.execute(
        select(INSTANCES.c.sop_instance_uid, INSTANCES.c.source)
        .join(SERIES, SERIES.c.id == INSTANCES.c.series_id)
        .join(STUDIES, STUDIES.c.id == SERIES.c.study_id)
        .where(STUDIES.c.institution == institution, STUDIES.c.study_uid == study_uid)
    )
    return {row.sop_instance_uid: row.source for row in found}


def expect_instances(
    connection: Connection, institution: str, study_uid: str, instances: int
) -> None:
    """Note how many instances a study has, whether or not any of them is here."""
    values = {"institution": institution, "study_uid": study_uid, "instances": instances}
    connection.execute(
        insert_into(connection, EXPECTED)
        .values(values)
        .on_conflict_do_update(
            index_elements=["institution", "study_uid"], set_={"instances": instances}
        )
    )
    connection.execute(
        STUDIES.update()
        .where(STUDIES.c.institution == institution, STUDIES.c.study_uid == study_uid)
        .values(expected=instances)
    )


def insert_quarantined(connection: Connection, quarantined: Quarantined, now: float) -> None:
    """Note what is in quarantine, once for each content and reason."""
    values = {
        "institution": quarantined.institution,
        "source": quarantined.source,
        "reason": quarantined.reason,
        "told": quarantined.told,
        "sop_instance_uid": quarantined.sop_instance_uid,
        "transfer_syntax_uid": quarantined.transfer_syntax_uid,
        "digest": quarantined.stored.digest,
        "size": quarantined.stored.size,
        "received_at": now,
    }
    statement = insert_into(connection, QUARANTINE).values(values)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["institution", "digest", "reason"], set_={"received_at": now}
        )
    )


def sealed(keyring: Keyring, attributes: Attributes, table: str) -> str:
    """Return attributes as they are stored in `table`."""
    return seal(keyring, _JSON.encode(attributes), f"{table}.attributes")


def unsealed(keyring: Keyring, stored: str, table: Table) -> Attributes:
    """Return the attributes that `sealed` made `stored` of."""
    attributes: Attributes = json.loads(unseal(keyring, stored, f"{table.name}.attributes"))
    return attributes


def text_of(attributes: Attributes, tag: str) -> str:
    """Return the first value of an attribute as text, empty where there is none."""
    values = attributes.get(tag, {}).get("Value") or [""]
    return str(values[0])


def plain_text(attributes: Attributes, tag: str, most: int) -> str:
    """Return the first value of an attribute for a column in clear. Some senders fill what is short
    with U+0000, which PostgreSQL takes in no text.
    """
    return text_of(attributes, tag).replace("\0", "")[:most]


def insert_into(connection: Connection, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """Return an INSERT that knows ON CONFLICT, which both databases have."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def _study(
    connection: Connection, keyring: Keyring, entry: Entry, now: float, *, reopens: bool
) -> int:
    attributes = entry.header.study
    if not reopens:
        return _known_study(connection, keyring, entry)
    values: dict[str, Any] = {
        "institution": entry.institution,
        "study_uid": entry.header.study_uid,
        "study_date": plain_text(attributes, "00080020", 8),
        "patient_index": blind_index(keyring, text_of(attributes, _PATIENT), PATIENT_ID),
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
    if _differs(keyring, row.patient_index, entry.header):
        raise other_patient()
    return int(row.id)


def _known_study(connection: Connection, keyring: Keyring, entry: Entry) -> int:
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
    if _differs(keyring, row.patient_index, entry.header):
        raise other_patient()
    return int(row.id)


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
