"""The instances that were received: kept whole, indexed by patient, study and series."""

from serving.archive.archive import Archive, Kept, Origin, Receipt
from serving.archive.errors import InstanceRefusedError, Refusal

__all__ = ["Archive", "InstanceRefusedError", "Kept", "Origin", "Receipt", "Refusal"]
