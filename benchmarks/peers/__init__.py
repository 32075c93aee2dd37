"""What a user would write instead of using this service: each peer as its own documentation shows.

Each answers `POST /recognize` with a probability for one DICOM file. None has a gate, evidence or
an out-of-distribution check, so each does less than the service it is measured against. They run
the same network on an input of the same size.
"""
