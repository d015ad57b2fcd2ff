"""Traces by OpenTelemetry: of calls, of what the scheduler is asked for, and of the steps of runs.

Off unless its own variables say where to send them (OTEL_EXPORTER_OTLP_ENDPOINT); then the extra
`appengine-server[otel]` must be installed. Spans carry names and ids, and never what a message, an
input or an error says: that may be a patient's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from appengine_server.settings import SettingsRefused, TracingSettings
from appengine_server.version import VERSION

_SERVICE = "appengine-server"
_LAST_SPANS_MS = 2000
"""At the end of a server, for the spans that were not sent yet."""


class Tracing:
    """Makes spans. Without a tracer it does nothing, at next to no cost."""

    def __init__(self, tracer: Any = None) -> None:
        """`tracer` is OpenTelemetry's, or None."""
        self._tracer = tracer

    @property
    def is_on(self) -> bool:
        """Whether spans go anywhere."""
        return self._tracer is not None

    @contextmanager
    def span(
        self,
        name: str,
        about: Mapping[str, str | int] | None = None,
        *,
        caller: Mapping[str, str] | None = None,
    ) -> Iterator[None]:
        """Everything inside is one span; what fails in it is told by the name of its class.

        `about` are its attributes; `caller` holds the headers of a call, which may say of which
        trace it is a part.
        """
        if self._tracer is None:
            yield
            return
        from opentelemetry import propagate, trace

        with self._tracer.start_as_current_span(
            name,
            context=None if caller is None else propagate.extract(caller),
            kind=trace.SpanKind.INTERNAL if caller is None else trace.SpanKind.SERVER,
            attributes=about,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_status(trace.StatusCode.ERROR, type(error).__name__)
                raise


@contextmanager
def open_tracing(settings: TracingSettings) -> Iterator[Tracing]:
    """Traces as the settings say; those that were not sent are sent at the end.

    Raises SettingsRefused where they are asked for and the extra is not installed.
    """
    if not settings.is_on:
        yield Tracing()
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise SettingsRefused(
            "OTEL_EXPORTER_OTLP_ENDPOINT: install appengine-server[otel], which sends traces, or "
            "leave the variable out."
        ) from error
    # The SDK reads the rest of its variables by itself, and those win.
    usual = {SERVICE_NAME: settings.service_name, SERVICE_VERSION: VERSION}
    provider = TracerProvider(resource=Resource.create(usual))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield Tracing(provider.get_tracer(_SERVICE, VERSION))
    finally:
        provider.force_flush(_LAST_SPANS_MS)
        provider.shutdown()
