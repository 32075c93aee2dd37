"""Stored objects, encrypted and addressed by their content."""

from serving.objects.digest import digest_of
from serving.objects.store import (
    ObjectNotFoundError,
    ObjectStore,
    ObjectWriter,
    StoredObject,
    open_objects,
)

__all__ = [
    "ObjectNotFoundError",
    "ObjectStore",
    "ObjectWriter",
    "StoredObject",
    "digest_of",
    "open_objects",
]
