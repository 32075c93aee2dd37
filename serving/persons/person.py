"""A person as an institution knows them, and what keeps data of persons."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from serving.archive.header import Attributes
from serving.archive.patients import patient_of
from serving.policy import Target
from serving.privacy import Keyring, pseudonym_of


@dataclass(frozen=True, slots=True)
class Person:
    """A patient of one institution."""

    institution: str
    number: str
    """The patient's number there; never logged or recorded."""
    pseudonym: str
    has_own_number: bool = True
    """Whether the institution gave it itself, so that the pseudonym is of its patient alone."""

    @classmethod
    def of(
        cls, keyring: Keyring, institution: str, number: str, issuer: str | None = None
    ) -> "Person":
        """Return the patient with that number at an institution.

        Args:
            keyring: the installation's keys.
            institution: whose records they are.
            number: the patient's number.
            issuer: who gave the number, where images name another (DICOM 0010,0021) than the
                institution itself.
        """
        pseudonym = pseudonym_of(keyring, issuer or institution, number)
        return cls(institution, number.strip(), pseudonym, issuer in (None, institution))

    def is_named_by(self, attributes: Attributes, keyring: Keyring) -> bool:
        """Whether attributes of a record of the institution name this person, and not somebody
        with the same number of another issuer.
        """
        return patient_of(self.institution, attributes, keyring) == self.pseudonym

    @property
    def target(self) -> Target:
        """The person before the policy, and in the audit record."""
        return Target("person", self.institution, self.pseudonym)


@dataclass(frozen=True, slots=True)
class Copy:
    """One thing that there is of a person."""

    name: str
    """Path in the export, such as `images/1.dcm`."""
    content: bytes


class PersonalRecords(Protocol):
    """A part of the service that keeps data of persons."""

    name: str
    """In exports and reports, such as `images`."""

    def export(self, person: Person) -> Iterator[Copy]:
        """Yield everything that there is of `person`."""
        ...

    def erase(self, person: Person) -> int:
        """Remove everything that there is of `person` for good; return how many things."""
        ...
