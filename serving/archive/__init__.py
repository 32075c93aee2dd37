"""The instances that were received: kept whole, indexed by patient, study and series."""

from serving.archive.archive import Archive, Durability, Kept, Origin, Receipt
from serving.archive.errors import InstanceRefusedError, Refusal

__all__ = ["Archive", "Durability", "InstanceRefusedError", "Kept", "Origin", "Receipt", "Refusal"]
