"""Carrying a plan out: gate and models on every planned image, results built and kept.

Doing it again gives the same objects: their UIDs and bytes come from the instances, the package and
the time at which the job was made.
"""

import contextlib
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from sqlalchemy import Connection, Row, select

from models.errors import ZhuzhenError
from serving.answers import Answer, answer_of, write_json
from serving.archive import Archive, Origin
from serving.archive.entries import find_digest
from serving.archive.file_meta import open_file
from serving.archive.tables import INSTANCES
from serving.faults import place_of
from serving.jobs.errors import JobGoneError
from serving.jobs.planning import RESULTS_SOURCE, Plan
from serving.jobs.rehearsal import rehearse
from serving.jobs.tables import JOBS, PRE_READS, JobState
from serving.observations import ImageWatch
from serving.shelf import Shelf
from serving.watching import Watcher

if TYPE_CHECKING:
    from serving.results import ReadImage, ResultObject

_LOG = logging.getLogger("zhuzhen.jobs")
Job = Row[Any]
_KEPT_AT_ONCE = 5
"""The four results of an image and the answers."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a carried out plan left in the object store, as plain values that DBOS can keep."""

    answers: str
    """Digest of the answers as JSON."""
    results: list[dict[str, str]]
    """Each DICOM object: kind, model, UIDs and digest, in the order of delivery."""
    skipped: int
    """Planned instances that are no images."""


def find_job(connection: Connection, job_id: str) -> Job:
    """Return the row of a job.

    Raises:
        JobGoneError: its study was erased.
    """
    job = connection.execute(select(JOBS).where(JOBS.c.id == job_id)).one_or_none()
    if job is None:
        raise JobGoneError
    return job


class StudyReader:
    """Reads studies; may be used from several threads at once."""

    def __init__(self, archive: Archive, shelf: Shelf, watcher: Watcher | None = None) -> None:
        """Read with the models of `shelf`; what is to be monitored goes to `watcher`."""
        self._archive = archive
        self._shelf = shelf
        self._watch = ImageWatch(watcher, shelf, archive.keyring)

    def prepare(self, models: Iterable[str]) -> None:
        """Load what reading with `models` needs, so that the first study does not wait for it.

        A model that must not be loaded is told of by the jobs that ask for it.
        """
        import serving.results  # noqa: F401 - it takes a second

        for model in models:
            with contextlib.suppress(ZhuzhenError):
                self._shelf.recognizer(model)

    def rehearse(self, models: Iterable[str]) -> None:
        """Go once through all that reading with `models` does, keeping nothing of it.

        What fails here is told of by the jobs that it fails in.
        """
        for model in models:
            try:
                rehearse(self._shelf.recognizer(model))
            except Exception as error:  # noqa: BLE001 - no study is concerned
                _LOG.warning("%s could not be rehearsed: %s", model, place_of(error))

    def read(self, job_id: str) -> Kept:
        """Carry out the plan of a job.

        Raises:
            JobGoneError: its study was erased meanwhile; nothing of it is kept.
            PackageError: a model of the plan is not there or must not be loaded.
            ObjectNotFoundError: an instance of the study is not in the object store.
        """
        with self._archive.engine.connect() as connection:
            job = find_job(connection, job_id)
            plan = Plan.from_json(job.plan)
            instances = {
                model: list(planned_instances(connection, job, plan, model))
                for model in dict.fromkeys(each.model for each in plan.readings)
            }
            predecessors = _predecessors(connection, job)
        answers: list[Answer] = []
        built: list[tuple[str, ResultObject]] = []
        skipped = 0
        for model, found in instances.items():
            images = self._images(model, found, answers, job)
            skipped += len(found) - len(images)
            if images:
                name = images[0].pre_read.model.name
                results = self._build(job, images, predecessors.get(name))
                built += [(name, result) for result in results]
        told = write_json({"study_version": job.version, "answers": answers}).encode()
        # Side by side, for each waits for the disk.
        with ThreadPoolExecutor(_KEPT_AT_ONCE, "results") as threads:
            stored = threads.submit(self._archive.objects.put, told)
            kept = list(threads.map(lambda each: self._keep(job, *each), built))
        return self._unless_gone(job_id, Kept(stored.result().digest, kept, skipped))

    def _unless_gone(self, job_id: str, kept: Kept) -> Kept:
        try:
            self._require(job_id)
        except JobGoneError:
            forget(self._archive, kept)
            raise
        return kept

    def _require(self, job_id: str) -> None:
        with self._archive.engine.connect() as connection:
            find_job(connection, job_id)

    def _images(
        self,
        model: str,
        instances: Sequence[Row[Any]],
        answers: list[Answer],
        job: Job,
    ) -> list["ReadImage"]:
        from serving.results import ReadImage, UnreferableSourceError, read_source

        recognizer = self._shelf.recognizer(model)
        images = []
        for instance in instances:
            data = self._archive.open(instance.digest)
            try:
                source = read_source(data, instance.digest)
            except UnreferableSourceError:
                continue
            reading = recognizer.read(data)
            self._require(job.id)
            self._watch.saw(model, reading, data, job.institution)
            statement = recognizer.package.statement
            images.append(ReadImage(source, reading, statement))
            answers.append(
                answer_of(
                    reading.pre_read, source=instance.sop_instance_uid, intended_use=statement
                )
            )
        return images

    def _build(
        self, job: Job, images: Sequence["ReadImage"], predecessor: Dataset | None
    ) -> Sequence["ResultObject"]:
        from serving.results import build_results

        created = datetime.fromtimestamp(job.created_at, UTC).astimezone()
        return build_results(images, created=created, revision=job.version, predecessor=predecessor)

    def _keep(self, job: Job, model: str, result: "ResultObject") -> dict[str, str]:
        with self._archive.engine.connect() as connection:
            digest = find_digest(connection, job.institution, result.sop_instance_uid)
        # What tells of one image has one UID for one package, whichever version of the study it is
        # built for: the object that is known already is the one that is meant.
        if digest is None:
            digest = self._store(job, result)
        return {
            "kind": result.kind.value,
            "model": model,
            "sop_class_uid": result.sop_class_uid,
            "sop_instance_uid": result.sop_instance_uid,
            "series_instance_uid": result.series_instance_uid,
            "study_instance_uid": result.study_instance_uid,
            "digest": digest,
        }

    def _store(self, job: Job, result: "ResultObject") -> str:
        opened = open_file(result.data)
        receipt = self._archive.receive(
            opened.data_set,
            opened.transfer_syntax_uid,
            Origin(job.institution, RESULTS_SOURCE),
            reopens=False,
        )
        return receipt.digest


def forget(archive: Archive, kept: Kept) -> None:
    """Remove what was kept for a job that is gone, and that nothing else in the records has."""
    digests = {kept.answers, *(each["digest"] for each in kept.results)}
    with archive.engine.connect() as connection:
        for column in (INSTANCES.c.digest, PRE_READS.c.answers):
            digests.difference_update(
                connection.execute(select(column).where(column.in_(digests))).scalars().all()
            )
    for digest in digests:
        archive.objects.delete(digest)


def record_pre_read(connection: Connection, job_id: str, kept: Kept, now: float) -> bool:
    """Record a pre-read as the study's current one; whether it is (a later version may be).

    In one transaction, and once however often it is called: there is exactly one current pre-read.

    Raises:
        JobGoneError: its study was erased meanwhile.
    """
    job = find_job(connection, job_id)
    known = connection.execute(select(PRE_READS).where(PRE_READS.c.job_id == job_id)).first()
    if known is not None:
        return bool(known.is_current)
    of_study = select(PRE_READS).where(PRE_READS.c.study_id == job.study_id)
    latest = connection.execute(of_study.order_by(PRE_READS.c.version.desc())).first()
    is_current = latest is None or latest.version < job.version
    if is_current:
        connection.execute(
            PRE_READS.update()
            .where(PRE_READS.c.study_id == job.study_id, PRE_READS.c.is_current)
            .values(is_current=False)
        )
    connection.execute(
        PRE_READS.insert().values(
            study_id=job.study_id,
            job_id=job_id,
            version=job.version,
            previous_id=latest.id if latest is not None and is_current else None,
            is_current=is_current,
            urgent=job.urgent,
            answers=kept.answers,
            results=json.dumps(kept.results),
            created_at=now,
        )
    )
    connection.execute(
        JOBS.update()
        .where(JOBS.c.id == job_id)
        .values(state=JobState.DONE.value, reason="", updated_at=now)
    )
    return is_current


def planned_instances(
    connection: Connection, job: Job, plan: Plan, model: str
) -> Iterator[Row[Any]]:
    """Give the instances of a study that `model` reads by a job's plan, in order of arrival."""
    series = [each.series_id for each in plan.readings if each.model == model]
    found = connection.execute(
        select(INSTANCES)
        .where(
            INSTANCES.c.series_id.in_(series),
            INSTANCES.c.id <= job.last_instance_id,
            INSTANCES.c.source != RESULTS_SOURCE,
        )
        .order_by(INSTANCES.c.id)
    )
    yield from found


def _predecessors(connection: Connection, job: Job) -> dict[str, Dataset]:
    """Return, by model, the report of the study's pre-read before this one."""
    found = connection.execute(
        select(PRE_READS)
        .where(PRE_READS.c.study_id == job.study_id, PRE_READS.c.version < job.version)
        .order_by(PRE_READS.c.version.desc())
    ).first()
    reports: dict[str, Dataset] = defaultdict(Dataset)
    for result in json.loads(found.results) if found is not None else ():
        if result["kind"] == "report":
            report = reports[result["model"]]
            report.SOPClassUID = result["sop_class_uid"]
            report.SOPInstanceUID = result["sop_instance_uid"]
            report.SeriesInstanceUID = result["series_instance_uid"]
            report.StudyInstanceUID = result["study_instance_uid"]
    return dict(reports)
