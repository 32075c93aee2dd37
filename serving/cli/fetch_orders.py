"""What `zhuzhen node fetch` does: search the PACS where it must, and queue what is found."""

import sys
from collections.abc import Sequence
from pathlib import Path

from models import store
from serving.access import POST
from serving.cli.operating import permit
from serving.fetching.entries import origin_of
from serving.fetching.orders import FetchOrderError, order_fetch, source_to_fetch_from
from serving.fetching.origin import Criteria, FoundStudy, Origin
from serving.policy import Action
from serving.routing import read_node


def order(
    source_name: str,
    *,
    studies: Sequence[str],
    accession_number: str,
    patient_file: Path | None,
    priors: int,
    urgent: bool,
) -> list[str]:
    """Queue what was asked for; return the identifiers of the fetches.

    Raises:
        FetchOrderError: the source is not one to fetch from, or nothing was found.
        PeerError: the PACS did not answer the search.
        NotPermittedError: the policy does not allow it.
    """
    node = read_node()
    source = source_to_fetch_from(node, source_name)
    patient_id = _read(patient_file) if patient_file else ""
    if not (studies or accession_number or patient_id):
        raise FetchOrderError("Nothing was asked for; give --study, --accession or --patient-file.")
    with POST.manned() as guard:
        permit(guard, "node.fetch", Action.FETCH_STUDY)
        origin = origin_of(source, node, store.home())
        wanted = list(studies)
        earlier: list[str] = []
        if accession_number or patient_id or priors:
            found = _search(origin, studies, Criteria("", accession_number, patient_id))
            wanted += [study.study_uid for study in found if study.study_uid not in wanted]
            earlier = _priors(origin, found, priors)
        if not wanted:
            raise FetchOrderError(f"{source_name} has nothing that fits what was asked for.")
        with guard.engine.begin() as connection:
            ordered = [order_fetch(connection, source, uid, urgent=urgent) for uid in wanted]
            ordered += [order_fetch(connection, source, uid, urgent=False) for uid in earlier]
    return list(dict.fromkeys(ordered))


def _read(file: Path) -> str:
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    return text.strip()


def _search(origin: Origin, studies: Sequence[str], wanted: Criteria) -> list[FoundStudy]:
    found = [each for uid in studies for each in origin.find(Criteria(study_uid=uid))]
    if wanted.accession_number or wanted.patient_id:
        found += origin.find(wanted)
    return found


def _priors(origin: Origin, found: Sequence[FoundStudy], count: int) -> list[str]:
    """Return the newest `count` studies of each patient that are older than what was found."""
    earlier: list[str] = []
    if not count:
        return earlier
    known = {study.study_uid for study in found}
    for patient_id in dict.fromkeys(study.patient_id for study in found if study.patient_id):
        first = min(study.study_date for study in found if study.patient_id == patient_id)
        others = [
            study
            for study in origin.find(Criteria(patient_id=patient_id))
            if study.study_uid not in known and study.study_date <= first
        ]
        others.sort(key=lambda study: study.study_date, reverse=True)
        earlier += [study.study_uid for study in others[:count]]
    return earlier
