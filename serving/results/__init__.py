"""What a pre-read becomes in a PACS: DICOM objects in the patient's own study.

`read_source` takes over the header of an image, `build_results` makes the objects. Importing this
package imports highdicom, which takes a second: do it where results are built, not at start.
"""

from serving.results.build import build_results
from serving.results.equipment import ResultObject
from serving.results.identity import ResultKind
from serving.results.read_image import ReadImage
from serving.results.source import SourceImage, UnreferableSourceError, read_source

__all__ = [
    "ReadImage",
    "ResultKind",
    "ResultObject",
    "SourceImage",
    "UnreferableSourceError",
    "build_results",
    "read_source",
]
