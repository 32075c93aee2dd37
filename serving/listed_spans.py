"""What of a span leaves this process: its name, its times, and the attributes that are listed.

`serving.tracing` writes nothing else; whatever else comes to write spans, a library or a hand in
haste, is held to the list here, where spans go out.
"""

from collections.abc import Collection, Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace.status import Status


class ListedSpans(SpanExporter):
    """Hands spans on to an exporter without what is not listed."""

    def __init__(self, exporter: SpanExporter, listed: Collection[str]) -> None:
        """Let attributes whose names are `listed` pass to `exporter`."""
        self._exporter = exporter
        self._listed = frozenset(listed)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export spans: no events, no links, no messages of exceptions, no trace state."""
        return self._exporter.export([self._bare(each) for each in spans])

    def shutdown(self) -> None:
        """Finish."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what waits."""
        return self._exporter.force_flush(timeout_millis)

    def _bare(self, span: ReadableSpan) -> ReadableSpan:
        attributes = span.attributes or {}
        return ReadableSpan(
            name=span.name,
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes={name: attributes[name] for name in attributes if name in self._listed},
            kind=span.kind,
            status=Status(span.status.status_code),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )
