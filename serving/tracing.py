"""Spans of what the service does, for OpenTelemetry; off unless the environment asks for them.

Spans and their attributes are words of this project and numbers: what may be said of a request is
the enumeration `Attribute`, and whoever adds to it answers for no value of it being a sender's. So
there are no paths, queries, headers, names, identifiers of patients or UIDs in a trace, nor the
messages of exceptions; a trace cannot be followed to a patient but through the audit record.

The environment is that of the OpenTelemetry specification ("Environment Variable Specification"):
`OTEL_TRACES_EXPORTER` (`otlp`, `console`, `none`), `OTEL_EXPORTER_OTLP_*`, `OTEL_TRACES_SAMPLER`,
`OTEL_BSP_*`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SDK_DISABLED`. What differs:
without an exporter or an endpoint named there, nothing is exported.
"""

import contextvars
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from importlib.metadata import version
from typing import ParamSpec, TypeVar

from opentelemetry.context import Context
from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    OTEL_SDK_DISABLED,
    OTEL_SERVICE_NAME,
)
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from serving.settings import SettingError


class Stage(StrEnum):
    """What a span is about."""

    REQUEST = "request"
    """Renamed to its method and route once these are known."""
    ADMISSION = "admission"
    """Who is asking, and may they."""
    RECEIVE = "receive"
    READING = "reading"
    """Of one image."""
    DECODE = "decode"
    GATE = "gate"
    PREPARE = "prepare"
    INFERENCE = "inference"
    EVIDENCE = "evidence"
    ASSESSMENT = "assessment"
    AUDIT = "audit"
    """The wait for the audit record."""
    JOB = "job"
    DELIVERY = "delivery"
    ASSOCIATION = "dicom.association"
    STORE = "dicom.c-store"


class Attribute(StrEnum):
    """What may be said of a span: nothing else leaves the process (`serving.listed_spans`)."""

    METHOD = "http.request.method"
    ROUTE = "http.route"
    """Template of the path."""
    STATUS = "http.response.status_code"
    ERROR = "error.type"
    """Class of an exception."""
    MODEL = "zhuzhen.model.name"
    VERSION = "zhuzhen.model.version"
    VERDICT = "zhuzhen.verdict"
    DICOM_STATUS = "zhuzhen.dicom.status"
    """Of a response (PS3.7 annex C)."""


_P = ParamSpec("_P")
_R = TypeVar("_R")
OTEL_TRACES_EXPORTER = "OTEL_TRACES_EXPORTER"
_EXPORTERS = ("otlp", "console", "none")
_PROTOCOL = "http/json"

_tracer: Tracer | None = None
_NOTHING = nullcontext(INVALID_SPAN)
_ROOT = Context()
_PROPAGATOR = TraceContextTextMapPropagator()


@contextmanager
def exporting(environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Record and export spans in this context, if the environment asks for it.

    Raises:
        SettingError: it asks for something that is not known.
    """
    global _tracer
    exporter = _exporter_named(environment)
    if exporter == "none":
        yield
        return
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import (
        BatchSpanProcessor,
        ConsoleSpanExporter,
        SpanExporter,
    )

    from serving.listed_spans import ListedSpans

    about = {"service.version": version("zhuzhen")}
    if not environment.get(OTEL_SERVICE_NAME):
        about["service.name"] = "zhuzhen"
    provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    out: SpanExporter
    if exporter == "console":
        # Standard output is for answers of commands.
        out = ConsoleSpanExporter(out=sys.stderr)
    else:
        from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter

        out = OTLPSpanExporter()
    listed = ListedSpans(out, [attribute.value for attribute in Attribute])
    provider.add_span_processor(BatchSpanProcessor(listed))
    _tracer = provider.get_tracer("zhuzhen", version("zhuzhen"))
    try:
        yield
    finally:
        _tracer = None
        provider.shutdown()


def _exporter_named(environment: Mapping[str, str]) -> str:
    if environment.get(OTEL_SDK_DISABLED, "").strip().lower() == "true":
        return "none"
    endpoints = (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT)
    default = "otlp" if any(environment.get(name) for name in endpoints) else "none"
    named = environment.get(OTEL_TRACES_EXPORTER) or default
    if named not in _EXPORTERS:
        raise SettingError(
            f"{OTEL_TRACES_EXPORTER} is {named!r}; expected one of {', '.join(_EXPORTERS)}."
        )
    for name in (OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL):
        protocol = environment.get(name) or _PROTOCOL
        if named == "otlp" and protocol != _PROTOCOL:
            raise SettingError(f"{name} is {protocol!r}; expected {_PROTOCOL}.")
    return named


def span(stage: Stage) -> AbstractContextManager[Span]:
    """Record what is done in this context as a part of what it is done in."""
    return _NOTHING if _tracer is None else _recorded(_tracer, stage)


def beginning(stage: Stage) -> AbstractContextManager[Span]:
    """Record what is done in this context as a trace of its own: a job, an association."""
    return _NOTHING if _tracer is None else _recorded(_tracer, stage, _ROOT)


def note(found: Span, name: Attribute, value: str | int) -> None:
    """Say something of what a span is about."""
    found.set_attribute(name.value, value)


def serving(headers: list[tuple[bytes, bytes]]) -> AbstractContextManager[Span]:
    """Record the answering of a request, as a part of the trace that its sender names (W3C Trace
    Context, `traceparent`).

    What else senders may say of traces (`tracestate`, `baggage`) has room for identifiers.
    """
    if _tracer is None:
        return _NOTHING
    return _recorded(_tracer, Stage.REQUEST, _context_in(headers), SpanKind.SERVER)


def name_request(found: Span, method: str, route: str, status: int) -> None:
    """Say what the request of a span was and how it was answered.

    Args:
        found: as `serving` gave it.
        method: of HTTP, or `other`.
        route: the template of its path, or `other`.
        status: of HTTP.
    """
    if not found.is_recording():
        return
    found.update_name(f"{method} {route}")
    note(found, Attribute.METHOD, method)
    note(found, Attribute.ROUTE, route)
    note(found, Attribute.STATUS, status)
    if status >= 500:
        found.set_status(StatusCode.ERROR)


def passed(stage: Stage, seconds: float) -> None:
    """Record what was just done and took `seconds`, as a part of what it was done in."""
    if _tracer is not None:
        now_ns = time.time_ns()
        _tracer.start_span(stage, start_time=now_ns - round(seconds * 1e9)).end(now_ns)


def carried(work: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return `work` so that what it does in another thread is recorded as a part of this."""
    if _tracer is None:
        return work
    context = contextvars.copy_context()

    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        # A context is entered by one thread at a time, and one request may be read by several.
        return context.copy().run(work, *args, **kwargs)

    return run


@contextmanager
def _recorded(
    tracer: Tracer,
    stage: Stage,
    context: Context | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
) -> Iterator[Span]:
    with tracer.start_as_current_span(
        stage,
        context,
        kind,
        # The message of an exception may repeat what a sender wrote.
        record_exception=False,
        set_status_on_exception=False,
    ) as found:
        try:
            yield found
        except BaseException as error:
            found.set_status(StatusCode.ERROR)
            note(found, Attribute.ERROR, type(error).__name__)
            raise


def _context_in(headers: list[tuple[bytes, bytes]]) -> Context:
    given = [value.decode("latin-1") for name, value in headers if name == b"traceparent"]
    if len(given) != 1:
        return _ROOT
    context = _PROPAGATOR.extract({"traceparent": given[0]}, Context())
    remote = get_current_span(context).get_span_context()
    if not remote.is_valid:
        return _ROOT
    plain = SpanContext(remote.trace_id, remote.span_id, True, remote.trace_flags)
    return set_span_in_context(NonRecordingSpan(plain), _ROOT)
