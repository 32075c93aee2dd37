"""What goes wrong with peers.

ZhuzhenError
+-- PeerSettingError   an entry in the node's file, or an address, that cannot be used
+-- PeerError          a peer did not do what was asked; `can_heal` says what next
"""

from models.errors import ZhuzhenError


class PeerSettingError(ZhuzhenError, ValueError):
    """A peer is described by something that cannot be used."""


class PeerError(ZhuzhenError):
    """A peer did not do what it was asked for."""

    def __init__(self, message: str, *, can_heal: bool) -> None:
        super().__init__(message)
        self.can_heal = can_heal
        """Whether the same may succeed later without anybody changing anything."""
