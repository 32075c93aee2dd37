"""`models.quiet`, under the name by which decoders have known it."""

from models.quiet import quiet_decoders

__all__ = ["quiet_decoders"]
