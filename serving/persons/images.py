"""A person's studies in the archive: instances, and the pre-reads of them."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, select

from serving.archive import Archive
from serving.archive.entries import PATIENT_ID, unsealed
from serving.archive.tables import EXPECTED, INSTANCES, QUARANTINE, SERIES, STUDIES
from serving.fetching.tables import FETCHES
from serving.jobs.forgetting import forget_workflows, jobs_url
from serving.jobs.tables import DELIVERIES, JOBS, PRE_READS
from serving.objects import ObjectNotFoundError, ObjectStore
from serving.outside.leaving import outgoing_of
from serving.persons.person import Copy, Person
from serving.privacy import Keyring, blind_index
from serving.records import writing
from serving.worklist.job_items import forget_job_items


class ArchivedImages:
    """Studies, series, instances, jobs and pre-reads, with their objects, and what DBOS has."""

    name = "images"

    def __init__(
        self, engine: Engine, keyring: Keyring, objects: ObjectStore, jobs: str | None = None
    ) -> None:
        """`jobs` is the address of the database that DBOS keeps its own tables in."""
        self._engine = engine
        self._keyring = keyring
        self._objects = objects
        self._jobs = jobs or jobs_url()

    def export(self, person: Person) -> Iterator[Copy]:
        """Yield every instance as a DICOM file and every pre-read as JSON."""
        self._settle()
        with self._engine.connect() as connection:
            studies = self._studies(connection, person)
            instances, answers = _instances(connection, studies), _answers(connection, studies)
        for uid, digest in instances:
            yield from self._copy(f"images/{uid}.dcm", digest)
        for number, digest in answers:
            yield from self._copy(f"pre-reads/{number}.json", digest)

    def erase(self, person: Person) -> int:
        """Remove the person's studies, objects first: what is cut short is finished by the next.

        An object that another record has, too, stays for that one.
        """
        self._settle()
        with self._engine.connect() as connection:
            studies = self._studies(connection, person)
            found = [*_instances(connection, studies), *_answers(connection, studies)]
            digests = {digest for _, digest in found} | _outgoing(connection, studies)
            shared = _held_by_others(connection, digests, studies)
            workflows = _workflows(connection, person.institution, studies)
        for digest in digests - shared:
            self._objects.delete(digest)
        with writing(self._engine) as connection:
            # What came meanwhile; from here on an instance finds its study locked, and then gone.
            connection.execute(
                select(STUDIES.c.id).where(STUDIES.c.id.in_(studies)).with_for_update()
            )
            late = {digest for _, digest in _instances(connection, studies)} - digests
            for digest in late - _held_by_others(connection, late, studies):
                self._objects.delete(digest)
            forget_job_items(connection, studies)
            _forget_fetching(connection, person.institution, studies)
            connection.execute(delete(STUDIES).where(STUDIES.c.id.in_(studies)))
        # What is carried out at this moment finds its row gone, and is forgotten when it ends.
        forget_workflows(self._jobs, workflows)
        return len(found)

    def _settle(self) -> None:
        """Have in the index what was acknowledged by now, by whichever process."""
        with closing(Archive(self._engine, self._objects, self._keyring)) as archive:
            archive.settle()

    def _studies(self, connection: Connection, person: Person) -> list[int]:
        return [study.id for study in studies_of(connection, self._keyring, person)]

    def _copy(self, name: str, digest: str) -> Iterator[Copy]:
        try:
            yield Copy(name, self._objects.get(digest))
        except ObjectNotFoundError:
            # An erasure that was cut short.
            return


@dataclass(frozen=True, slots=True)
class Study:
    """One of a person's studies."""

    id: int
    uid: str


@dataclass(frozen=True, slots=True)
class Instance:
    """One of a person's instances."""

    uid: str
    digest: str


def studies_of(connection: Connection, keyring: Keyring, person: Person) -> list[Study]:
    """Return the studies in the index that are a person's."""
    index = blind_index(keyring, person.number, PATIENT_ID)
    query = select(STUDIES.c.id, STUDIES.c.study_uid, STUDIES.c.attributes).where(
        STUDIES.c.institution == person.institution, STUDIES.c.patient_index == index
    )
    # The index knows numbers, and a number that somebody else gave is another person's.
    return [
        Study(row.id, row.study_uid)
        for row in connection.execute(query).all()
        if person.is_named_by(unsealed(keyring, row.attributes, STUDIES), keyring)
    ]


def instances_of(connection: Connection, keyring: Keyring, person: Person) -> list[Instance]:
    """Return the instances in the index that are a person's."""
    studies = [study.id for study in studies_of(connection, keyring, person)]
    return [Instance(*row) for row in _instances(connection, studies)]


def _instances(connection: Connection, studies: list[int]) -> list[tuple[str, str]]:
    query = (
        select(INSTANCES.c.sop_instance_uid, INSTANCES.c.digest)
        .join(SERIES, SERIES.c.id == INSTANCES.c.series_id)
        .where(SERIES.c.study_id.in_(studies))
    )
    return [(row[0], row[1]) for row in connection.execute(query)]


def _answers(connection: Connection, studies: list[int]) -> list[tuple[str, str]]:
    query = select(PRE_READS.c.id, PRE_READS.c.answers).where(PRE_READS.c.study_id.in_(studies))
    return [(str(row[0]), row[1]) for row in connection.execute(query)]


def _outgoing(connection: Connection, studies: list[int]) -> set[str]:
    """Return what was made to leave the institution and may not have arrived yet."""
    query = (
        select(DELIVERIES.c.outgoing)
        .join(JOBS, JOBS.c.id == DELIVERIES.c.job_id)
        .where(JOBS.c.study_id.in_(studies), DELIVERIES.c.outgoing.is_not(None))
    )
    return {each.digest for text in connection.scalars(query) for each in outgoing_of(text)}


def _workflows(connection: Connection, institution: str, studies: list[int]) -> list[str]:
    """Return the rows that DBOS carries out, or did, for the studies."""
    jobs = select(JOBS.c.id).where(JOBS.c.study_id.in_(studies))
    uids = select(STUDIES.c.study_uid).where(STUDIES.c.id.in_(studies))
    queries = (
        jobs,
        select(DELIVERIES.c.id).where(DELIVERIES.c.job_id.in_(jobs)),
        select(FETCHES.c.id).where(
            FETCHES.c.institution == institution, FETCHES.c.study_uid.in_(uids)
        ),
    )
    return [row_id for query in queries for row_id in connection.execute(query).scalars()]


def _forget_fetching(connection: Connection, institution: str, studies: list[int]) -> None:
    """Remove what names the studies' UIDs because they were fetched from a PACS."""
    uids = select(STUDIES.c.study_uid).where(STUDIES.c.id.in_(studies))
    for table in (FETCHES, EXPECTED):
        connection.execute(
            delete(table).where(table.c.institution == institution, table.c.study_uid.in_(uids))
        )


def _held_by_others(connection: Connection, digests: set[str], studies: list[int]) -> set[str]:
    others = (
        select(INSTANCES.c.digest)
        .join(SERIES, SERIES.c.id == INSTANCES.c.series_id)
        .where(SERIES.c.study_id.not_in(studies)),
        select(PRE_READS.c.answers).where(PRE_READS.c.study_id.not_in(studies)),
        select(QUARANTINE.c.digest),
    )
    found: set[str] = set()
    for query in others:
        column = query.selected_columns[0]
        for digest in digests:
            if connection.scalar(query.where(column == digest).limit(1)) is not None:
                found.add(digest)
    return found
