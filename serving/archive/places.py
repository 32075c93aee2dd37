"""Where the studies and series that come in have their rows: looked for once, not per instance."""

from collections import OrderedDict
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, exists, update

from serving.archive.tables import SERIES, STUDIES, StudyState
from serving.records import Prepared

_MOST = 4096

Key = tuple[str, str, str, str]
"""Institution, Study and Series Instance UID, and Patient ID."""

_TOUCH = Prepared(
    update(STUDIES)
    .where(
        STUDIES.c.id == bindparam("study"),
        STUDIES.c.institution == bindparam("of_institution"),
        STUDIES.c.study_uid == bindparam("of_study"),
        STUDIES.c.patient_index == bindparam("whose"),
        exists().where(
            SERIES.c.id == bindparam("series"),
            SERIES.c.study_id == STUDIES.c.id,
            SERIES.c.series_uid == bindparam("of_series"),
        ),
    )
    .values(
        state=StudyState.RECEIVING.value,
        last_received_at=bindparam("now"),
        instances=STUDIES.c.instances + bindparam("more"),
        source=bindparam("from_source"),
    )
)


@dataclass(frozen=True, slots=True)
class Place:
    """The rows of a study and of one of its series."""

    study_id: int
    series_id: int
    patient_index: str
    """Whose study it is, as the index says it."""


class Places:
    """The rows that were written lately. What it says is held against the database when used."""

    def __init__(self) -> None:
        self._places: OrderedDict[Key, Place] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        """Whether an instance of that study, series and patient came here lately."""
        return key in self._places

    def touch(
        self, connection: Connection, key: Key, source: str, now: float, more: int
    ) -> Place | None:
        """Note in the study that so many `more` instances came; None if it is not known here.

        Rows may have been removed since, or never committed, and their numbers given to others.
        """
        place = self._places.get(key)
        if place is None:
            return None
        institution, study_uid, series_uid, _ = key
        touched = _TOUCH.run(
            connection,
            {
                "study": place.study_id,
                "series": place.series_id,
                "of_institution": institution,
                "of_study": study_uid,
                "whose": place.patient_index,
                "of_series": series_uid,
                "now": now,
                "more": more,
                "from_source": source,
            },
        )
        if touched.rowcount != 1:
            del self._places[key]
            return None
        return place

    def remember(self, key: Key, place: Place) -> None:
        """Keep a place that was found or made."""
        self._places[key] = place
        if len(self._places) > _MOST:
            self._places.popitem(last=False)
