"""The files of one delivery that leaves the institution, made once and kept until it is confirmed.

Results are made anew on the de-identified images, so that they name no one by construction: their
references, dates and patient are those of what they are sent with. A second check then looks for
what the source says of the patient in every byte of them, as for the images.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
from sqlalchemy import select

from models.deidentification import Deidentified
from models.quiet import quiet_decoders
from serving.archive import Archive
from serving.destinations import DicomFile
from serving.jobs.errors import JobGoneError
from serving.jobs.planning import Plan
from serving.jobs.reading import Job, find_job, planned_instances
from serving.jobs.tables import DELIVERIES
from serving.outside.entries import Outside, outside_of
from serving.shelf import Shelf

if TYPE_CHECKING:
    from serving.results import ReadImage


@dataclass(frozen=True, slots=True)
class Left:
    """One object that left or is about to, as it is recorded: nothing of the source is in it."""

    sop_instance_uid: str
    pseudonym: str
    digest: str


@dataclass(frozen=True, slots=True)
class _Image:
    """An image of the study, as it came and as it leaves."""

    source: bytes
    outgoing: Deidentified


class Leaving:
    """Makes what leaves; may be used from several threads at once."""

    def __init__(
        self,
        archive: Archive,
        shelf: Shelf,
        entries: Mapping[str, Mapping[str, Any]],
        folder: Path | None = None,
    ) -> None:
        """Read who is outside from the destinations' `entries`; paths are relative to `folder`.

        Raises:
            OutsideSettingError: an entry cannot be used.
        """
        self._archive = archive
        self._shelf = shelf
        found = {name: outside_of(entry, folder) for name, entry in entries.items()}
        self._outside = {name: each for name, each in found.items() if each is not None}

    def concerns(self, destination: str) -> bool:
        """Whether what goes to `destination` leaves the institution."""
        return destination in self._outside

    def files(self, delivery_id: str) -> list[bytes]:
        """Return the files of a delivery, images first; the same bytes however often it is asked.

        Raises:
            DeidentificationError: an image must not leave; none of the delivery does then.
            JobGoneError: the study was erased meanwhile.
        """
        with self._archive.engine.connect() as connection:
            row = connection.execute(
                select(DELIVERIES).where(DELIVERIES.c.id == delivery_id)
            ).one_or_none()
        if row is None:
            raise JobGoneError
        if row.outgoing is None:
            left = self._prepare(row.job_id, row.destination)
            self._remember(delivery_id, left)
        else:
            left = [Left(**each) for each in json.loads(row.outgoing)]
        return [self._archive.open(each.digest) for each in left]

    def _remember(self, delivery_id: str, left: list[Left]) -> None:
        text = json.dumps([asdict(each) for each in left])
        noted = DELIVERIES.update().where(DELIVERIES.c.id == delivery_id).values(outgoing=text)
        if self._archive.write(lambda connection: connection.execute(noted).rowcount):
            return
        for each in left:
            self._archive.objects.delete(each.digest)
        raise JobGoneError

    def done(self, delivery_id: str) -> None:
        """Let the files of a confirmed delivery go; which they were stays recorded."""
        with self._archive.engine.connect() as connection:
            query = select(DELIVERIES.c.outgoing).where(DELIVERIES.c.id == delivery_id)
            for each in outgoing_of(connection.scalar(query)):
                self._archive.objects.delete(each.digest)

    def _prepare(self, job_id: str, destination: str) -> list[Left]:
        outside = self._outside[destination]
        with self._archive.engine.connect() as connection:
            job = find_job(connection, job_id)
            plan = Plan.from_json(job.plan)
            planned = {
                each.model: list(planned_instances(connection, job, plan, each.model))
                for each in plan.readings
                if destination in each.destinations
            }
        images = {
            row.sop_instance_uid: self._image(row.digest, outside)
            for rows in planned.values()
            for row in rows
        }
        files: list[tuple[_Image, bytes]] = []
        if outside.images:
            files += [(image, image.outgoing.data) for image in images.values()]
        if outside.results:
            for model, rows in planned.items():
                chosen = [images[row.sop_instance_uid] for row in rows]
                files += self._results(job, model, chosen, outside)
        return [self._keep(image, data) for image, data in files]

    def _image(self, digest: str, outside: Outside) -> _Image:
        data = self._archive.open(digest)
        with quiet_decoders():
            header = pydicom.dcmread(BytesIO(data), stop_before_pixels=True, force=True)
        regions = outside.regions(header)
        return _Image(data, outside.deidentifier.deidentify(data, mask=regions))

    def _results(
        self, job: Job, model: str, images: Sequence[_Image], outside: Outside
    ) -> Iterator[tuple[_Image, bytes]]:
        from serving.results import build_results

        readings = list(self._readings(model, images))
        if not readings:
            return
        # The moment of reading moves like all dates: it would tell by how much they were moved.
        created = datetime.fromtimestamp(job.created_at, UTC).astimezone()
        created -= timedelta(days=images[0].outgoing.days)
        for result in build_results(readings, created=created, revision=job.version):
            for image in images:
                outside.deidentifier.check(image.source, result.data)
            yield images[0], result.data

    def _readings(self, model: str, images: Sequence[_Image]) -> Iterator["ReadImage"]:
        from serving.results import ReadImage, UnreferableSourceError, read_source

        recognizer = self._shelf.recognizer(model)
        for image in images:
            try:
                source = read_source(image.outgoing.data)
            except UnreferableSourceError:
                continue
            # The model reads the image as it came: the gate needs the age that dates of birth tell.
            reading = recognizer.read(image.source)
            yield ReadImage(source, reading, recognizer.package.statement)

    def _keep(self, image: _Image, data: bytes) -> Left:
        stored = self._archive.objects.put(data)
        uid = DicomFile.of(data).sop_instance_uid
        return Left(uid, image.outgoing.pseudonym, stored.digest)


def outgoing_of(text: str | None) -> list[Left]:
    """Return what a delivery's row says has left, or is about to."""
    return [Left(**each) for each in json.loads(text)] if text else []
