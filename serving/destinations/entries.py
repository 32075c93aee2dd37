"""From an entry in the node's file, or an address on the command line, to a destination."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serving.destinations.destination import Destination, DestinationSettingError
from serving.destinations.dicomweb import WebDestination
from serving.destinations.dimse import DimseDestination
from serving.destinations.folder import FolderDestination
from serving.peers import PEER_KEYS, Peer, PeerSettingError, peer_of

# `deidentify` is read where what is sent is made.
_KEYS = PEER_KEYS | {"name", "to", "give_up_after_s", "deidentify"}


def destination_of(entry: Mapping[str, Any], folder: Path | None = None) -> Destination:
    """Return the destination that `entry` describes.

    `to` says where: `AE_TITLE@host:port`, the address of a DICOMweb service, or `folder:PATH`.
    Relative paths are those of `folder`, by default the working folder's.

    Raises:
        DestinationSettingError: naming the entry, the key, and what was expected.
    """
    name = str(entry.get("name", entry.get("to", "destination")))
    unknown = sorted(set(entry) - _KEYS)
    if unknown:
        raise DestinationSettingError(
            f"Destination {name} has {unknown[0]!r}, which is not known; expected some of "
            f"{', '.join(sorted(_KEYS))}."
        )
    place = folder or Path()
    to = str(entry.get("to", ""))
    if to.startswith("folder:") and len(to) > len("folder:"):
        return FolderDestination(place / to.removeprefix("folder:"))
    try:
        peer = peer_of(to, entry, place)
    except PeerSettingError as error:
        raise DestinationSettingError(f"Destination {name}: {error}") from None
    return DimseDestination(peer) if isinstance(peer, Peer) else WebDestination(peer)
