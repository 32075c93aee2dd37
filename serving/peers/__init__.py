"""The systems at the other end, a DICOM entity or a DICOMweb server, and how to reach them.

`peer_of` makes one from its entry in the node's file. What is sent to peers is the business of
`serving.destinations`, what is fetched from them that of `serving.fetching`.
"""

from serving.peers.dimse import Peer, associated, entity_of
from serving.peers.entries import PEER_KEYS, peer_of
from serving.peers.errors import PeerError, PeerSettingError
from serving.peers.web import WebServer

__all__ = [
    "PEER_KEYS",
    "Peer",
    "PeerError",
    "PeerSettingError",
    "WebServer",
    "associated",
    "entity_of",
    "peer_of",
]
