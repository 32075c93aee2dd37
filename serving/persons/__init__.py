"""What there is of one person, over all parts: exported and erased on request."""

from serving.persons.parts import personal_records
from serving.persons.person import Person
from serving.persons.requests import erase_person, export_person

__all__ = ["Person", "erase_person", "export_person", "personal_records"]
