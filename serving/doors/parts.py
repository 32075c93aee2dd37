"""Every part of the service, in the order in which they are opened."""

from itertools import chain

from serving.doors import (
    auditing,
    cds_hooks,
    consents,
    fetching,
    fhir,
    imaging,
    institutions,
    keys,
    pages,
    persons,
    recognizing,
    risk_scoring,
    sessions,
    sharing,
    users,
)
from serving.doors.table import RouteTable

PARTS = (
    pages.PART,
    sessions.PART,
    users.PART,
    institutions.PART,
    keys.PART,
    sharing.PART,
    consents.PART,
    persons.PART,
    auditing.PART,
    recognizing.PART,
    risk_scoring.PART,
    fhir.PART,
    cds_hooks.PART,
    imaging.PART,
    fetching.PART,
)
ROUTES = tuple(chain.from_iterable(part.routes for part in PARTS))
DICOM_SERVICES = tuple(chain.from_iterable(part.dicom_services for part in PARTS))
JOBS = tuple(chain.from_iterable(part.jobs for part in PARTS))
TABLE = RouteTable(ROUTES)
