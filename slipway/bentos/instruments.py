"""The service's metrics, bound to their labels once: looking a label up costs more than counting."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from slipway.monitoring import metrics

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4.encode()


class Instruments:
    """The counters of one application, in a registry of its own."""

    __slots__ = (
        "_lookup_failures",
        "_model_info",
        "_registry",
        "golden_difference",
        "lookup_seconds",
        "ready",
        "request_seconds",
        "requests",
        "rows",
        "turn_rows",
        "waiting_rows",
    )

    def __init__(self) -> None:
        # A second series beside each counter, which says since when it counts: nobody asks, all would pay.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = self._registry = CollectorRegistry()
        self.requests = {int(status): child for status, child in _bound(metrics.SERVING_REQUESTS, registry).items()}
        self.request_seconds: Histogram = metrics.SERVING_REQUEST_SECONDS.histogram(registry)
        self.rows = _bound(metrics.SERVING_ROWS, registry)
        self.turn_rows: Histogram = metrics.SERVING_TURN_ROWS.histogram(registry)
        self.lookup_seconds: Histogram = metrics.SERVING_LOOKUP_SECONDS.histogram(registry)
        self._lookup_failures = _bound(metrics.SERVING_LOOKUP_FAILURES, registry)
        self.waiting_rows: Gauge = metrics.SERVING_WAITING_ROWS.gauge(registry)
        self.ready: Gauge = metrics.SERVING_READY.gauge(registry)
        self.golden_difference: Gauge = metrics.SERVING_GOLDEN_DIFFERENCE.gauge(registry)
        self._model_info = metrics.SERVING_MODEL_INFO.gauge(registry)

    def lookup_failed(self, *, late: bool) -> None:
        self._lookup_failures["deadline" if late else "error"].inc()

    def serve(self, *, service: str, model: str, model_version: int) -> None:
        """Say once what this process serves."""
        self._model_info.labels(service, model, str(model_version)).set(1)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


def _bound(metric: metrics.Metric, registry: CollectorRegistry) -> dict[str, Counter]:
    """Return a counter's children by the values of its one label, each made before it is first needed."""
    counter = metric.counter(registry)
    (label,) = metric.labels
    return {value: counter.labels(value) for value in label.values}
