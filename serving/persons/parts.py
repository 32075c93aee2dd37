"""Every part of the service that keeps data of persons."""

from sqlalchemy import Engine

from serving.objects import open_objects
from serving.persons.images import ArchivedImages
from serving.persons.person import PersonalRecords
from serving.persons.tables import TableRows
from serving.persons.worklist import WorklistItems
from serving.privacy import Keyring


def personal_records(engine: Engine, keyring: Keyring) -> tuple[PersonalRecords, ...]:
    """Return the parts of this installation, in the order of an export."""
    return (
        ArchivedImages(engine, keyring, open_objects(keyring=keyring)),
        WorklistItems(engine, keyring),
        TableRows(engine),
    )
