"""What is not on the list of attributes does not leave with a span."""

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags

from serving.listed_spans import ListedSpans
from serving.tracing import Attribute

PATIENT = "Zhang San"


def test_only_listed_attributes_leave() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    listed = [attribute.value for attribute in Attribute]
    provider.add_span_processor(SimpleSpanProcessor(ListedSpans(kept, listed)))
    other = Link(SpanContext(1, 2, True, TraceFlags(1)), {"patient": PATIENT})
    tracer = provider.get_tracer("a library")
    with tracer.start_as_current_span("reading", links=[other]) as span:
        span.set_attribute(Attribute.MODEL.value, "chest-xray-pneumonia")
        span.set_attribute("db.statement", f"SELECT ... WHERE name = '{PATIENT}'")
        span.add_event("found", {"patient.name": PATIENT})
        span.set_status(Status(StatusCode.ERROR, f"{PATIENT} has no image"))
    provider.force_flush()
    (found,) = kept.get_finished_spans()
    assert dict(found.attributes or {}) == {Attribute.MODEL.value: "chest-xray-pneumonia"}
    assert PATIENT not in found.to_json()
    assert found.status.status_code is StatusCode.ERROR
    assert (found.name, found.context.span_id) == ("reading", span.get_span_context().span_id)
    assert found.start_time is not None
    assert found.end_time is not None
    provider.shutdown()
