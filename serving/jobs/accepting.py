"""Deciding that what lies in quarantine is right: it takes the place of what is known.

What was known until then goes into quarantine itself, so that nothing is lost and the decision can
be taken back. The study is opened anew: the next version of its pre-read replaces the old one.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, select, update

from models.errors import ZhuzhenError
from serving.archive import Archive
from serving.archive.entries import (
    ACCESSION_NUMBER,
    PATIENT_ID,
    Entry,
    Quarantined,
    insert_quarantined,
    plain_text,
    sealed,
    text_of,
    unsealed,
)
from serving.archive.errors import InstanceRefusedError
from serving.archive.file_meta import Opened, file_meta, open_file
from serving.archive.header import InstanceHeader, read_instance_header
from serving.archive.indexing import Coming, insert_instances
from serving.archive.patients import patient_of
from serving.archive.places import Places
from serving.archive.quarantined import find_quarantined, forget_quarantined
from serving.archive.tables import INSTANCES, QUARANTINE, SERIES, STUDIES
from serving.jobs.planning import RESULTS_SOURCE
from serving.jobs.tables import DELIVERIES, JOBS, PRE_READS
from serving.objects import StoredObject, digest_of
from serving.privacy import Keyring, blind_index
from serving.worklist.job_items import forget_job_items

REPLACED = "replaced"
"""Why something lies in quarantine that was known before: another one was accepted."""
_TOLD = "Another instance was accepted in place of this one, which was known until then."


class NotAcceptableError(ZhuzhenError, ValueError):
    """What lies in quarantine cannot take the place of what is known."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is to be accepted."""

    number: int
    entry: Entry
    file: bytes
    """What lies in quarantine as it was sent may lack the beginning of a file."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What came of it."""

    study_uid: str
    sop_instance_uid: str
    replaced: tuple[int, ...]
    """Numbers in quarantine of what was known before."""
    sent_to: tuple[str, ...]
    """Destinations that have, or may have, the results on a study that was set aside."""


def read_candidate(archive: Archive, number: int) -> Candidate:
    """Return what has a number in quarantine as the instance that it would be.

    Raises:
        NotInQuarantineError: there is none.
        NotAcceptableError: it cannot be read as an instance.
        ObjectNotFoundError: its object is gone.
    """
    with archive.engine.connect() as connection:
        row = find_quarantined(connection, number)
    if row.source == RESULTS_SOURCE:
        raise NotAcceptableError(
            f"{number} is a result that this node made of a study that was set aside. Results "
            "are made anew when a study is read; discard it. / "
            f"编号 {number} 是本节点对已移入隔离区的检查生成的结果："
            "检查重新预读时会重新生成，请删除此件。"
        )
    content = archive.objects.get(row.digest)
    try:
        opened = open_file(content)
    except InstanceRefusedError:
        opened = Opened(row.transfer_syntax_uid, memoryview(content))
    try:
        header = read_instance_header(opened.data_set, opened.transfer_syntax_uid)
    except InstanceRefusedError as refused:
        raise NotAcceptableError(
            f"What has the number {number} cannot be accepted: {refused} Then discard this one. / "
            f"编号 {number} 无法作为影像读取，不能采纳：请从来源重新发送，然后删除此件。"
        ) from None
    uids = header.sop_class_uid, header.sop_instance_uid
    file = file_meta(*uids, opened.transfer_syntax_uid) + opened.data_set
    stored = StoredObject(digest_of(file), len(file))
    entry = Entry(header, opened.transfer_syntax_uid, stored, row.institution, row.source)
    return Candidate(number, entry, file)


def study_known(connection: Connection, entry: Entry) -> Row[Any] | None:
    """Return the row of the study that an instance belongs to, if there is one."""
    return connection.execute(
        select(STUDIES)
        .where(
            STUDIES.c.institution == entry.institution,
            STUDIES.c.study_uid == entry.header.study_uid,
        )
        .with_for_update()
    ).one_or_none()


def accept(
    archive: Archive,
    candidate: Candidate,
    *,
    whole_study: bool = False,
    clock: Callable[[], float] = time.time,
) -> Accepted:
    """Put what lies in quarantine in the place of what is known; all of it or, if killed, nothing.

    With `whole_study`, everything that is known of its study as another patient's is set aside, and
    the study begins anew with this instance.

    Raises:
        NotInQuarantineError: somebody else has seen to it.
        NotAcceptableError: it cannot be, and what to do instead.
    """
    # Who has acknowledged an instance with that UID must have it in the index.
    archive.settle()
    is_there = archive.objects.exists(candidate.entry.stored.digest)
    if not is_there:
        archive.objects.put(candidate.file)
    try:
        accepted, orphans = archive.write(
            lambda connection: _accept(connection, archive.keyring, candidate, clock(), whole_study)
        )
    except ZhuzhenError:
        if not is_there:
            archive.objects.delete(candidate.entry.stored.digest)
        raise
    for digest in orphans:
        archive.objects.delete(digest)
    return accepted


def _accept(
    connection: Connection, keyring: Keyring, candidate: Candidate, now: float, whole_study: bool
) -> tuple[Accepted, list[str]]:
    find_quarantined(connection, candidate.number)
    entry, header = candidate.entry, candidate.entry.header
    replaced: list[int] = []
    sent_to: tuple[str, ...] = ()
    orphans: list[str] = []
    study = study_known(connection, entry)
    if study is not None and _is_of_other(keyring, study, entry):
        if not whole_study:
            raise _other_patient(candidate.number)
        sent_to, orphans = _leftovers(connection, study)
        replaced = _set_study_aside(connection, study, now)
    elif whole_study:
        raise NotAcceptableError(
            f"The study of {candidate.number} is not known as another patient's: nothing of it has "
            "to be set aside. Leave --whole-study out. / "
            f"编号 {candidate.number} 所属检查并未登记为他人的检查，请去掉 --whole-study。"
        )
    known = _known(connection, entry)
    if known is None or known.digest != entry.stored.digest:
        if known is not None:
            replaced = [_set_aside(connection, known, header, now)]
        insert_instances(connection, keyring, [Coming(entry, now, reopens=True)], Places())
        _take_over(connection, keyring, entry, was_known=known is not None)
    as_sent = forget_quarantined(connection, candidate.number)
    if as_sent is not None:
        orphans.append(as_sent)
    accepted = Accepted(header.study_uid, header.sop_instance_uid, tuple(replaced), sent_to)
    return accepted, orphans


def _is_of_other(keyring: Keyring, study: Row[Any], entry: Entry) -> bool:
    """Whether a study is another patient's; one that is not stated is none."""
    patients = {
        patient_of(entry.institution, attributes, keyring)
        for attributes in (unsealed(keyring, study.attributes, STUDIES), entry.header.study)
    }
    return len(patients - {None}) > 1


def _other_patient(number: int) -> NotAcceptableError:
    return NotAcceptableError(
        f"The study of {number} is known here as another patient's, by the Patient ID and who gave "
        f"it. If {number} is wrong: correct it where it comes from, send it again, and discard "
        f"{number}. If what is known is wrong: accept {number} with --whole-study, which sets all "
        "that is known of the study aside, with its pre-reads, and begins it anew. / "
        f"按患者编号及其发放机构，编号 {number} 所属检查在此登记为另一患者。如 {number} 有误："
        f"请在来源处更正后重新发送，并删除 {number}；如已存影像有误："
        f"请加 --whole-study 采纳 {number}，已存的整个检查及其预读将移入隔离区，检查重新开始。"
    )


def _known(connection: Connection, entry: Entry) -> Row[Any] | None:
    return connection.execute(
        select(INSTANCES, SERIES.c.study_id, STUDIES.c.study_uid)
        .join(SERIES, SERIES.c.id == INSTANCES.c.series_id)
        .join(STUDIES, STUDIES.c.id == SERIES.c.study_id)
        .where(
            INSTANCES.c.institution == entry.institution,
            INSTANCES.c.sop_instance_uid == entry.header.sop_instance_uid,
        )
    ).one_or_none()


def _set_aside(connection: Connection, known: Row[Any], header: InstanceHeader, now: float) -> int:
    """Move what is known into quarantine; return its number there."""
    if known.source == RESULTS_SOURCE:
        raise NotAcceptableError(
            "The known instance is a result that this node itself made, and nobody else's can take "
            "its place. Discard the other one, and have its sender send no results back. / "
            "已存的是本节点自己生成的结果，不能被替换：请删除此件，并让发送方不要回传结果。"
        )
    if known.study_uid != header.study_uid:
        raise NotAcceptableError(
            "The known instance belongs to another study, by the Study Instance UID. Give the one "
            "in quarantine a SOP Instance UID of its own where it comes from, send it again, and "
            "discard this one. / "
            "已存影像按检查 UID 属于另一检查：请在来源处为隔离的影像另给 SOP Instance UID，"
            "重新发送，并删除此件。"
        )
    number = _quarantine(connection, known, now)
    connection.execute(delete(INSTANCES).where(INSTANCES.c.id == known.id))
    is_empty = ~exists().where(INSTANCES.c.series_id == known.series_id)
    connection.execute(delete(SERIES).where(SERIES.c.id == known.series_id, is_empty))
    return number


def _set_study_aside(connection: Connection, study: Row[Any], now: float) -> list[int]:
    """Move all that is known of a study into quarantine; return the numbers there."""
    found = connection.execute(
        select(INSTANCES)
        .join(SERIES, SERIES.c.id == INSTANCES.c.series_id)
        .where(SERIES.c.study_id == study.id)
        .order_by(INSTANCES.c.id)
    ).all()
    numbers = [_quarantine(connection, row, now) for row in found]
    forget_job_items(connection, [study.id])
    connection.execute(delete(STUDIES).where(STUDIES.c.id == study.id))
    return numbers


def _leftovers(connection: Connection, study: Row[Any]) -> tuple[tuple[str, ...], list[str]]:
    """Return where results on a study may be, and the answers that nothing refers to without it."""
    deliveries = (
        select(DELIVERIES.c.destination)
        .join(JOBS, JOBS.c.id == DELIVERIES.c.job_id)
        .where(JOBS.c.study_id == study.id)
        .distinct()
    )
    answers = set(
        connection.scalars(select(PRE_READS.c.answers).where(PRE_READS.c.study_id == study.id))
    )
    elsewhere = select(PRE_READS.c.answers).where(
        PRE_READS.c.study_id != study.id, PRE_READS.c.answers.in_(answers)
    )
    orphans = answers - set(connection.scalars(elsewhere))
    return tuple(sorted(connection.scalars(deliveries))), sorted(orphans)


def _quarantine(connection: Connection, known: Row[Any], now: float) -> int:
    stored = StoredObject(known.digest, known.size)
    about = known.institution, known.source, REPLACED, _TOLD
    uids = known.sop_instance_uid, known.transfer_syntax_uid
    insert_quarantined(connection, Quarantined(*about, *uids, stored), now)
    number = select(QUARANTINE.c.id).where(
        QUARANTINE.c.institution == known.institution,
        QUARANTINE.c.digest == known.digest,
        QUARANTINE.c.reason == REPLACED,
    )
    return int(connection.execute(number).scalar_one())


def _take_over(connection: Connection, keyring: Keyring, entry: Entry, *, was_known: bool) -> None:
    """Have study and series be what the accepted instance says of them."""
    header = entry.header
    study = study_known(connection, entry)
    assert study is not None  # noqa: S101 - the instance is in it
    values: dict[str, Any] = {"instances": study.instances - was_known}
    patient = text_of(header.study, "00100020")
    if patient or not text_of(unsealed(keyring, study.attributes, STUDIES), "00100020"):
        values |= {
            "study_date": plain_text(header.study, "00080020", 8),
            "patient_index": blind_index(keyring, patient, PATIENT_ID),
            "accession_index": blind_index(
                keyring, text_of(header.study, "00080050"), ACCESSION_NUMBER
            ),
            "attributes": sealed(keyring, header.study, STUDIES.name),
        }
    connection.execute(update(STUDIES).where(STUDIES.c.id == study.id).values(values))
    connection.execute(
        update(SERIES)
        .where(SERIES.c.study_id == study.id, SERIES.c.series_uid == header.series_uid)
        .values(
            modality=plain_text(header.series, "00080060", 16),
            attributes=sealed(keyring, header.series, SERIES.name),
        )
    )
