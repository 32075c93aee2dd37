"""What monitoring keeps of readings of a person's images: measurements, without name or number."""

from collections.abc import Iterator

from sqlalchemy import Engine

from models.observation import erase, find
from serving.objects import ObjectNotFoundError, ObjectStore
from serving.observations import file_pseudonym
from serving.persons.images import instances_of
from serving.persons.person import Copy, Person
from serving.privacy import Keyring


class Observations:
    """Lines that have the pseudonym of one of the images that are archived of the person.

    Of images that came to `/v1/recognize` nobody knows whose they were once they are answered.
    """

    name = "observations"

    def __init__(self, engine: Engine, keyring: Keyring, objects: ObjectStore) -> None:
        self._engine = engine
        self._keyring = keyring
        self._objects = objects

    def export(self, person: Person) -> Iterator[Copy]:
        """Yield them as one file, a JSON object a line."""
        lines = b"".join(find(self._of(person)))
        if lines:
            yield Copy("observations.jsonl", lines)

    def erase(self, person: Person) -> int:
        """Overwrite them."""
        return erase(self._of(person))

    def _of(self, person: Person) -> set[str]:
        with self._engine.connect() as connection:
            instances = instances_of(connection, self._keyring, person)
        found = set()
        for instance in instances:
            try:
                with self._objects.open(instance.digest) as file:
                    found.add(file_pseudonym(self._keyring, file))
            except ObjectNotFoundError:
                continue
        return found
