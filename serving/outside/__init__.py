"""What leaves the institution: images that tell nobody whose they are, and results made on these.

`outside_of` reads how a destination wants it from its entry in the node's file; `Leaving` makes the
files of one delivery.
"""

from serving.outside.entries import Outside, OutsideSettingError, outside_of
from serving.outside.leaving import Leaving, Left

__all__ = ["Leaving", "Left", "Outside", "OutsideSettingError", "outside_of"]
