"""Rows of the index: what is asked of them, and how they are sealed."""

import json
from dataclasses import dataclass

from sqlalchemy import Connection, Table, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from serving.archive.errors import InstanceRefusedError, Refusal
from serving.archive.header import Attributes, InstanceHeader
from serving.archive.places import Key
from serving.archive.tables import (
    EXPECTED,
    INSTANCES,
    QUARANTINE,
    SERIES,
    STUDIES,
)
from serving.objects import StoredObject
from serving.privacy import Keyring, blind_index, seal, unseal
from serving.records import Prepared

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


@dataclass(frozen=True, slots=True)
class Entry:
    """One instance that is in the object store."""

    header: InstanceHeader
    transfer_syntax_uid: str
    stored: StoredObject
    institution: str
    source: str

    @property
    def key(self) -> Key:
        """Of which study, series and patient it is."""
        header = self.header
        return self.institution, header.study_uid, header.series_uid, stated_patient(header)


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
    return found is not None and differs(keyring, str(found[0]), entry.header)


def stated_patient(header: InstanceHeader) -> str:
    """Return the Patient ID of an instance, empty where none is stated."""
    return text_of(header.patient, _PATIENT)


def differs(keyring: Keyring, index: str, header: InstanceHeader) -> bool:
    """Whether the patient of a study is another one; one that is not stated is none."""
    patient = stated_patient(header)
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
