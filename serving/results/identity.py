"""Unique identifiers of results: the same source, package and kind always give the same ones.

A result that is built again after a fault, or delivered twice, is therefore the same object to any
PACS, which keeps one of it (PS3.5 B.2: UIDs derived from a UUID, here a name-based one, RFC 9562
5.5).
"""

import uuid
from collections.abc import Iterable
from enum import StrEnum

from pydicom.uid import UID

from models.findings import ModelReference

_NAMESPACE = uuid.UUID("5c0f5b0e-6d55-4f2e-9d3c-7a6f3c1f1c52")
_MAPPING_EDITION = "3"
"""Raised whenever the same pre-read gives different objects: these must not take the old UIDs."""


class ResultKind(StrEnum):
    """What a result is, in the order in which results are delivered."""

    SEGMENTATION = "segmentation"
    """Places that speak for a finding, on the source's own pixels."""
    PRESENTATION = "presentation"
    """The same places as outlines with their words, drawn over the source image."""
    CAPTURE = "capture"
    """A picture for viewers that show nothing else."""
    REPORT = "report"
    """The structured report: last, so that what it refers to is there before it."""


def result_uid(
    kind: ResultKind,
    model: ModelReference,
    sources: Iterable[str],
    role: str = "instance",
    revision: int = 1,
) -> UID:
    """Return the UID of one `role` of a result on some `sources` (`SourceImage.identity`).

    `role` tells apart what a result needs several UIDs for, such as the tracking of each finding.
    `revision` counts the versions of a study's pre-read, from 1.
    """
    told = ",".join(sorted(set(sources)))
    name = "|".join((_MAPPING_EDITION, kind, role, model.name, model.digest, told, str(revision)))
    return UID(f"2.25.{uuid.uuid5(_NAMESPACE, name).int}")


def series_uid(
    kind: ResultKind, model: ModelReference, study_instance_uid: str, revision: int = 1
) -> UID:
    """Return the UID of the series of a study that holds all results of one kind and package.

    The report of each `revision` has a series of its own: what a PACS lists are series.
    """
    return result_uid(kind, model, (study_instance_uid,), role="series", revision=revision)


def device_uid(model: ModelReference) -> UID:
    """Return the UID by which reports name the package that observed."""
    return result_uid(ResultKind.REPORT, model, (), role="device")
