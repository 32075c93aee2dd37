"""How this software names itself, and in DICOM (PS3.7 annex D.3.3.2)."""

from importlib.metadata import version

from pydicom.uid import UID

VERSION = version("zhuzhen")
IMPLEMENTATION_CLASS_UID = UID("2.25.186471297093706441830164928376514230417")
"""In every association and file; from a UUID of its own (PS3.5 annex B.2), never changed."""
IMPLEMENTATION_VERSION_NAME = f"ZHUZHEN_{VERSION}"[:16]
