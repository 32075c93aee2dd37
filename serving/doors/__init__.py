"""The doors of the service: each part says once what it answers to, and for which action."""

from serving.doors.route import DicomService, Job, Part, Route

__all__ = ["DicomService", "Job", "Part", "Route"]
