"""Origins from the sources of `node.yaml`."""

from pathlib import Path

from serving.fetching.dimse import DimseOrigin
from serving.fetching.origin import Origin
from serving.fetching.web import WebOrigin
from serving.peers import PEER_KEYS, PeerSettingError, WebServer, peer_of
from serving.routing import Node, Source

_KEYS = PEER_KEYS | {"from", "by", "most_instances", "give_up_after_s"}
_MOST_INSTANCES = 10_000


def origin_of(source: Source, node: Node, folder: Path) -> Origin:
    """Return the PACS that the `fetch` of a source describes; paths are relative to `folder`.

    Raises:
        PeerSettingError: naming the source, the key, and what was expected.
    """
    entry = dict(source.fetch or {})
    unknown = sorted(set(entry) - _KEYS)
    if unknown:
        raise PeerSettingError(
            f"Source {source.name}: fetch has {unknown[0]!r}, which is not known; expected some of "
            f"{', '.join(sorted(_KEYS))}."
        )
    entry.setdefault("calling_ae_title", node.listener.ae_title)
    try:
        peer = peer_of(str(entry.get("from", "")), entry, folder)
    except PeerSettingError as error:
        raise PeerSettingError(f"Source {source.name}: fetch: {error}") from None
    most = int(entry.get("most_instances", _MOST_INSTANCES))
    if isinstance(peer, WebServer):
        return WebOrigin(peer, most)
    by_get = entry.get("by", "c-move") == "c-get"
    if not by_get and source.ae_title is None:
        raise PeerSettingError(
            f"Source {source.name}: what it sends for C-MOVE comes from its ae_title, which is not "
            "given; add it, or fetch by c-get."
        )
    return DimseOrigin(peer, most, None if by_get else node.listener.ae_title)


def open_origins(node: Node, folder: Path) -> dict[str, Origin]:
    """Return the PACS of every source with `fetch`, by name of the source.

    Raises:
        PeerSettingError: one of them cannot be used.
    """
    return {source.name: origin_of(source, node, folder) for source in node.sources if source.fetch}
