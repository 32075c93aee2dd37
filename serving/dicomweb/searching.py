"""QIDO-RS: searching for studies, series and instances (PS3.18 section 10.6)."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, distinct, func, select
from starlette.requests import Request
from starlette.responses import Response

from serving.access import access_of
from serving.answers import write_json
from serving.archive import Archive
from serving.archive.entries import ACCESSION_NUMBER, PATIENT_ID, unsealed
from serving.archive.header import Attributes
from serving.archive.patients import patient_of
from serving.archive.tables import INSTANCES, SERIES, STUDIES
from serving.dicomweb.context import base_url, runtime_of
from serving.dicomweb.matching import MODALITIES_IN_STUDY, Level, Search, read_search
from serving.dicomweb.storing import DICOM_JSON
from serving.node.access import target_of
from serving.policy import Target
from serving.privacy import blind_index

_STUDY_UID, _SERIES_UID, _INSTANCE_UID = "0020000D", "0020000E", "00080018"
_PATIENT_ID, _ISSUER = "00100020", "00100021"
_ACCESSION, _STUDY_DATE = "00080050", "00080020"
_PAGE = 500
THERE_IS_MORE = "There are additional results that can be requested"
"""Text of the warning (PS3.18 8.3.4.4)."""


@dataclass(frozen=True, slots=True)
class Found:
    """One page of results."""

    results: list[Attributes]
    more: bool


async def search_studies(request: Request) -> Response:
    """`GET /dicom-web/studies`."""
    return await _search(request, Level.STUDY)


async def search_series(request: Request) -> Response:
    """`GET /dicom-web/series` and below a study."""
    return await _search(request, Level.SERIES)


async def search_instances(request: Request) -> Response:
    """`GET /dicom-web/instances` and below a study or series."""
    return await _search(request, Level.INSTANCE)


async def _search(request: Request, level: Level) -> Response:
    access = access_of(request)
    search = read_search(request.query_params, level)
    institution = access.actor.institution or "-"
    finder = Finder(runtime_of(request).archive, institution, base_url(request))
    loop = asyncio.get_running_loop()
    target = await loop.run_in_executor(None, finder.target, search, request.path_params)
    access.require(target)
    found = await loop.run_in_executor(None, finder.find, level, search, request.path_params)
    headers = {}
    warnings = []
    if found.more:
        warnings.append(THERE_IS_MORE)
    if search.not_searchable:
        warnings.append("Some included fields are not in the index and were left out")
    if warnings:
        headers["Warning"] = ", ".join(f'299 zhuzhen "{text}"' for text in warnings)
    if not found.results:
        return Response(status_code=204, headers=headers)
    return Response(write_json(found.results), media_type=DICOM_JSON, headers=headers)


class Finder:
    """Searches the records of one institution."""

    def __init__(self, archive: Archive, institution: str, base: str) -> None:
        self._archive = archive
        self._institution = institution
        self._base = base

    def target(self, search: Search, path: dict[str, str]) -> Target:
        """Return what is searched: a study, what there is of a patient, or everything."""
        if "study" in path:
            query = select(STUDIES.c.id, STUDIES.c.attributes).where(
                STUDIES.c.institution == self._institution, STUDIES.c.study_uid == path["study"]
            )
            with self._archive.reading() as connection:
                row = connection.execute(query).one_or_none()
            if row is not None:
                attributes = unsealed(self._archive.keyring, row.attributes, STUDIES)
                return target_of(self._institution, row.id, attributes, self._archive.keyring)
        named = {
            key: {"vr": "LO", "Value": list(search.by_key[key].values)}
            for key in (_PATIENT_ID, _ISSUER)
            if key in search.by_key and not set(search.by_key[key].values[0]) & set("*?")
        }
        patient = patient_of(self._institution, named, self._archive.keyring)
        return Target("study", self._institution, patient)

    def find(self, level: Level, search: Search, path: dict[str, str]) -> Found:
        """Return the results of a search from its offset on, and whether there are more."""
        results: list[Attributes] = []
        passed = 0
        with self._archive.reading() as connection:
            for attributes in self._matching(connection, level, search, path):
                passed += 1
                if passed <= search.offset:
                    continue
                if len(results) == search.limit:
                    return Found(results, more=True)
                results.append(attributes)
        return Found(results, more=False)

    def _matching(
        self, connection: Connection, level: Level, search: Search, path: dict[str, str]
    ) -> Iterator[Attributes]:
        query = self._narrowed(_query(level), level, search, path)
        rows = connection.execution_options(yield_per=_PAGE).execute(query)
        for row in rows:
            attributes = self._attributes(row, level)
            if MODALITIES_IN_STUDY in search.by_key:
                with self._archive.engine.connect() as other:
                    attributes |= _about_study(other, row)
            if all(condition.matches(attributes) for condition in search.conditions):
                yield self._told(attributes, row, level)

    def _told(self, attributes: Attributes, row: Row[Any], level: Level) -> Attributes:
        """Add what is computed, for the results that are answered alone."""
        place = f"{self._base}/studies/{row.study_uid}"
        with self._archive.engine.connect() as connection:
            if level is Level.STUDY:
                attributes |= _about_study(connection, row)
            else:
                place += f"/series/{row.series_uid}"
            if level is Level.SERIES:
                attributes["00201209"] = _count(connection, row.series_id)
        if level is Level.INSTANCE:
            place += f"/instances/{row.sop_instance_uid}"
        attributes["00081190"] = {"vr": "UR", "Value": [place]}
        attributes["00080056"] = {"vr": "CS", "Value": ["ONLINE"]}
        return dict(sorted(attributes.items()))

    def _attributes(self, row: Row[Any], level: Level) -> Attributes:
        keyring = self._archive.keyring
        attributes = unsealed(keyring, row.study_attributes, STUDIES)
        if level >= Level.SERIES:
            attributes |= unsealed(keyring, row.series_attributes, SERIES)
        if level >= Level.INSTANCE:
            attributes |= unsealed(keyring, row.instance_attributes, INSTANCES)
        return attributes

    def _narrowed(
        self, query: Select[Any], level: Level, search: Search, path: dict[str, str]
    ) -> Select[Any]:
        """Let the database sort out what it can, so that little has to be decrypted."""
        query = query.where(STUDIES.c.institution == self._institution)
        if "study" in path:
            query = query.where(STUDIES.c.study_uid == path["study"])
        if "series" in path:
            query = query.where(SERIES.c.series_uid == path["series"])
        columns = {_STUDY_UID: STUDIES.c.study_uid}
        if level >= Level.SERIES:
            columns |= {_SERIES_UID: SERIES.c.series_uid}
        if level >= Level.INSTANCE:
            columns |= {_INSTANCE_UID: INSTANCES.c.sop_instance_uid}
        for key, condition in search.by_key.items():
            value = condition.values[0]
            is_plain = not set(value) & set("*?")
            if key in columns and is_plain:
                query = query.where(columns[key].in_(condition.values))
            elif key in _BLIND and is_plain:
                column, context = _BLIND[key]
                index = blind_index(self._archive.keyring, value, context)
                query = query.where(column == index)
            elif key == _STUDY_DATE:
                query = _within(query, value)
        return query


_BLIND = {
    _PATIENT_ID: (STUDIES.c.patient_index, PATIENT_ID),
    _ACCESSION: (STUDIES.c.accession_index, ACCESSION_NUMBER),
}


def _within(query: Select[Any], value: str) -> Select[Any]:
    first, dash, last = value.partition("-")
    if not dash:
        return query.where(STUDIES.c.study_date == first) if len(first) == 8 else query
    if first:
        query = query.where(STUDIES.c.study_date >= first)
    return query.where(STUDIES.c.study_date <= last) if len(last) == 8 else query


def _query(level: Level) -> Select[Any]:
    """Return the rows of one level, the newest studies first."""
    columns: list[Any] = [
        STUDIES.c.id.label("study_id"),
        STUDIES.c.study_uid,
        STUDIES.c.attributes.label("study_attributes"),
    ]
    order: list[Any] = [STUDIES.c.study_date.desc(), STUDIES.c.id.desc()]
    source: Any = STUDIES
    if level >= Level.SERIES:
        source = source.join(SERIES, SERIES.c.study_id == STUDIES.c.id)
        columns += [
            SERIES.c.id.label("series_id"),
            SERIES.c.series_uid,
            SERIES.c.attributes.label("series_attributes"),
        ]
        order.append(SERIES.c.id)
    if level >= Level.INSTANCE:
        source = source.join(INSTANCES, INSTANCES.c.series_id == SERIES.c.id)
        columns += [
            INSTANCES.c.sop_instance_uid,
            INSTANCES.c.attributes.label("instance_attributes"),
        ]
        order.append(INSTANCES.c.id)
    return select(*columns).select_from(source).order_by(*order)


def _about_study(connection: Connection, row: Row[Any]) -> Attributes:
    counted = connection.execute(
        select(func.count(distinct(SERIES.c.id)), func.count(INSTANCES.c.id))
        .select_from(SERIES)
        .join(INSTANCES, INSTANCES.c.series_id == SERIES.c.id)
        .where(SERIES.c.study_id == row.study_id)
    ).one()
    modalities = connection.execute(
        select(SERIES.c.modality).where(SERIES.c.study_id == row.study_id).distinct()
    ).scalars()
    return {
        MODALITIES_IN_STUDY: {"vr": "CS", "Value": sorted(filter(None, modalities))},
        "00201206": {"vr": "IS", "Value": [counted[0]]},
        "00201208": {"vr": "IS", "Value": [counted[1]]},
    }


def _count(connection: Connection, series_id: int) -> dict[str, Any]:
    found = connection.execute(
        select(func.count(INSTANCES.c.id)).where(INSTANCES.c.series_id == series_id)
    ).scalar_one()
    return {"vr": "IS", "Value": [found]}
