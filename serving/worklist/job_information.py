"""What a job reads and has made, as its work item tells where to find it (PS3.3 C.30.3, C.30.4)."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, select

from serving.archive.header import Attributes
from serving.archive.tables import INSTANCES, SERIES
from serving.jobs.planning import RESULTS_SOURCE, Plan
from serving.jobs.tables import PRE_READS

_INPUT, _OUTPUT, _PERFORMED = "00404021", "00404033", "00741216"
_BEGUN, _ENDED = "00404050", "00404051"
Reference = tuple[str, str, str]
"""UIDs of a series, of an instance and of its class."""


def information_of(connection: Connection, job: Any, web_base: str) -> Attributes:
    """Return Input Information and, once there are results, UPS Performed Procedure Sequence."""
    place = f"{web_base}/studies/{job.study_uid}"
    found = {_INPUT: _sequence(_by_series(_read(connection, job), job.study_uid, place))}
    made = connection.execute(
        select(PRE_READS.c.results, PRE_READS.c.created_at).where(PRE_READS.c.job_id == job.id)
    ).one_or_none()
    if made is not None:
        results = [
            (each["series_instance_uid"], each["sop_instance_uid"], each["sop_class_uid"])
            for each in json.loads(made.results)
        ]
        performed: Attributes = {
            _OUTPUT: _sequence(_by_series(results, job.study_uid, place)),
            _BEGUN: {"vr": "DT", "Value": [moment_of(job.created_at)]},
            _ENDED: {"vr": "DT", "Value": [moment_of(made.created_at)]},
        }
        found[_PERFORMED] = _sequence([performed])
    return found


def moment_of(seconds: float) -> str:
    """Return a moment as a DT value."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M%S+0000")


def _read(connection: Connection, job: Any) -> list[Reference]:
    """Return what the job's plan has read."""
    planned = {each.series_id for each in Plan.from_json(job.plan).readings}
    rows = connection.execute(
        select(SERIES.c.series_uid, INSTANCES.c.sop_instance_uid, INSTANCES.c.sop_class_uid)
        .join(SERIES, SERIES.c.id == INSTANCES.c.series_id)
        .where(
            SERIES.c.id.in_(planned),
            INSTANCES.c.id <= job.last_instance_id,
            INSTANCES.c.source != RESULTS_SOURCE,
        )
    )
    return [(row.series_uid, row.sop_instance_uid, row.sop_class_uid) for row in rows]


def _by_series(found: Iterable[Reference], study_uid: str, place: str) -> list[Attributes]:
    """Return an item for each series (PS3.3 table 10-3b), by WADO-RS."""
    return [
        {
            "0020000D": _uid(study_uid),
            "0020000E": _uid(series),
            "00081199": _sequence(
                {"00081150": _uid(sop_class), "00081155": _uid(instance)}
                for _, instance, sop_class in instances
            ),
            "0040E020": {"vr": "CS", "Value": ["DICOM"]},
            "0040E025": _sequence(
                [{"00081190": {"vr": "UR", "Value": [f"{place}/series/{series}"]}}]
            ),
        }
        for series, instances in groupby(sorted(found), key=lambda each: each[0])
    ]


def _uid(value: str) -> Attributes:
    return {"vr": "UI", "Value": [value]}


def _sequence(items: Iterable[Attributes]) -> Attributes:
    found = list(items)
    return {"vr": "SQ", "Value": found} if found else {"vr": "SQ"}
