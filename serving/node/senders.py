"""Senders for the destinations of `node.yaml`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serving.destinations import destination_of
from serving.jobs.delivering import Sender


def open_senders(
    entries: Mapping[str, Mapping[str, Any]], folder: Path | None = None
) -> dict[str, Sender]:
    """Return what sends to each destination, by name; paths are relative to `folder`.

    Raises:
        DestinationSettingError: an entry cannot be used.
    """
    return {name: destination_of(entry, folder) for name, entry in entries.items()}
