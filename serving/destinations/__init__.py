"""Where results go: a PACS by C-STORE, a DICOMweb server by STOW-RS, or a folder.

`destination_of` makes a destination from its entry in the node's file; `Destination.send` delivers
and raises `DeliveryError`, `Destination.deliver` tells of each object.
"""

from serving.destinations.destination import (
    DeliveryError,
    Destination,
    DestinationSettingError,
    Outcome,
    State,
)
from serving.destinations.dicom_file import DicomFile, NotADicomFileError, is_dicom_file
from serving.destinations.entries import destination_of

__all__ = [
    "DeliveryError",
    "Destination",
    "DestinationSettingError",
    "DicomFile",
    "NotADicomFileError",
    "Outcome",
    "State",
    "destination_of",
    "is_dicom_file",
]
