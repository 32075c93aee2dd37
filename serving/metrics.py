"""What the service counts about itself, for Prometheus.

Labels hold names of this project alone (routes, models, verdicts, stages): never anything that a
sender wrote, which could identify a patient and would have no bound.
"""

from collections.abc import Iterator

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from models.drift_gauges import read_gauges
from models.findings import PreRead

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_REGISTRY = CollectorRegistry()
for _collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
    _REGISTRY.register(_collector)

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_REQUESTS = Counter(
    "zhuzhen_requests", "Requests answered.", ("route", "status"), registry=_REGISTRY
)
_REQUEST_SECONDS = Histogram(
    "zhuzhen_request_seconds",
    "From the first byte of a request's head to the last of its answer.",
    ("route",),
    registry=_REGISTRY,
    buckets=_SECONDS,
)
_READINGS = Counter(
    "zhuzhen_readings", "Inputs read.", ("model", "version", "verdict"), registry=_REGISTRY
)
_STAGE_SECONDS = Histogram(
    "zhuzhen_reading_stage_seconds",
    "Time spent on one input in each stage of its reading.",
    ("stage",),
    registry=_REGISTRY,
    buckets=_SECONDS,
)

_MONITORED = {
    "drift_effect": "How far a number moved from its reference: Kolmogorov-Smirnov, 0 to 1.",
    "drift_alarms": "Measures that moved away from their reference.",
    "readings": "Readings in the latest monitoring report.",
    "shadow_agreement": "Share of inputs on which the challenger decided as the champion.",
    "shadow_skipped": "Inputs that the challenger did not read along, by reason: busy, failed or "
    "stopped.",
    "review_agreement": "Share of reviews that accepted what the model said.",
    "shadow_review_agreement": "Share of reviewed inputs that both champion and challenger have "
    "read, on which this version decided as the reviewer.",
}
_MONITORED_LABELS = ("model", "version", "institution", "measure")


class _LatestReport(Collector):
    """The figures of the latest monitoring report, read anew at each scrape."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        found = read_gauges()
        for name, told in _MONITORED.items():
            family = GaugeMetricFamily(f"zhuzhen_{name}", told, labels=_MONITORED_LABELS)
            for each in found:
                if each.name == name:
                    labels = (each.model, each.version, each.institution, each.measure)
                    family.add_metric(labels, each.value)
            yield family


_REGISTRY.register(_LatestReport())
_MODEL_CHANGES = Counter(
    "zhuzhen_model_changes",
    "Changes of what a model's alias means: followed, or refused because it must not be loaded.",
    ("model", "version", "outcome"),
    registry=_REGISTRY,
)

_OBSERVATIONS = Counter(
    "zhuzhen_observations",
    "Measurements for monitoring: written, lost (the disk was too slow or full), or, of a "
    "challenger's shadow, skipped because it was busy, or failed.",
    ("kind", "outcome"),
    registry=_REGISTRY,
)


def count_observation(kind: str, outcome: str, count: int = 1) -> None:
    """Count observations: `kind` is `reading` or `shadow`."""
    _OBSERVATIONS.labels(kind, outcome).inc(count)


_INSTANCES = Counter(
    "zhuzhen_instances",
    "DICOM instances received, by way in and what became of them.",
    ("way", "outcome"),
    registry=_REGISTRY,
)


def count_instance(way: str, outcome: str, count: int = 1) -> None:
    """Count received instances; `way` is `c-store`, `stow` or `fetch`."""
    _INSTANCES.labels(way, outcome).inc(count)


def count_model_change(*, model: str, version: str, outcome: str) -> None:
    """Count that `version` now answers (`followed`), or goes on answering (`refused`)."""
    _MODEL_CHANGES.labels(model, version, outcome).inc()


def count_request(route: str, status: int, seconds: float) -> None:
    """Count one answered request; `route` is one of the service's own, or `other`."""
    _REQUESTS.labels(route, status).inc()
    _REQUEST_SECONDS.labels(route).observe(seconds)


def count_reading(pre_read: PreRead) -> None:
    """Count one input and the time it took."""
    model = pre_read.model
    _READINGS.labels(model.name, model.version, pre_read.verdict.value).inc()
    for stage, ms in pre_read.timings_ms.items():
        _STAGE_SECONDS.labels(stage).observe(ms / 1e3)


def exposition() -> bytes:
    """Return all metrics in Prometheus's text format, of media type `MEDIA_TYPE`."""
    return generate_latest(_REGISTRY)
