"""Every part of the service that keeps data of persons."""

from sqlalchemy import Engine

from serving.objects import open_objects
from serving.persons.images import ArchivedImages
from serving.persons.observations import Observations
from serving.persons.person import PersonalRecords
from serving.persons.quarantine import QuarantinedInstances
from serving.persons.tables import TableRows
from serving.persons.worklist import WorklistItems
from serving.privacy import Keyring


def personal_records(engine: Engine, keyring: Keyring) -> tuple[PersonalRecords, ...]:
    """Return the parts of this installation, in the order of an export.

    Erased in the other order: by the images it is known whose the rest is.
    """
    objects = open_objects(keyring=keyring)
    return (
        ArchivedImages(engine, keyring, objects),
        QuarantinedInstances(engine, keyring, objects),
        Observations(engine, keyring, objects),
        WorklistItems(engine, keyring),
        TableRows(engine),
    )
