"""The catalogue of metrics: the one place where a metric's name, type, labels and help are written.

A label takes values from a list that is given here, or from values that the process itself chose before its first
request (``BOUND``): text from a request never becomes a label, so that no client can make new series.
"""

from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BOUND = ("*",)
"""Allowed values of a label that a process binds once, at its start: the name of its service or its model."""

# From a cache hit in Redis (0.1 ms) to the time limit of a request (2 s); the steps keep a p99 within a third.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A label and every value that it may take."""

    name: str
    values: tuple[str, ...] = BOUND


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric of the catalogue; its name ends with its unit."""

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    def counter(self, registry: CollectorRegistry) -> Counter:
        return Counter(self.name, self.help, self.label_names, registry=registry)

    def gauge(self, registry: CollectorRegistry) -> Gauge:
        return Gauge(self.name, self.help, self.label_names, registry=registry)

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        return Histogram(self.name, self.help, self.label_names, registry=registry, buckets=self.buckets)


SERVING_REQUESTS = Metric(
    name="slipway_serving_requests_total",
    kind=Kind.COUNTER,
    help="Predict requests by the status of their answer; 0: the client left before it.",
    labels=(Label(name="status", values=("200", "400", "405", "413", "422", "500", "503", "0")),),
)
SERVING_REQUEST_SECONDS = Metric(
    name="slipway_serving_request_seconds",
    kind=Kind.HISTOGRAM,
    help="Time from the first byte of a predict request in the application to its answer.",
    buckets=SECONDS,
)
SERVING_ROWS = Metric(
    name="slipway_serving_rows_total",
    kind=Kind.COUNTER,
    help="Rows asked for, by where their features came from and in what state they were.",
    labels=(Label(name="features", values=("ok", "stale", "missing", "layout_mismatch", "given", "unavailable")),),
)
SERVING_TURN_ROWS = Metric(
    name="slipway_serving_turn_rows",
    kind=Kind.HISTOGRAM,
    help="Rows that one call of the model scored together.",
    buckets=ROWS,
)
SERVING_LOOKUP_SECONDS = Metric(
    name="slipway_serving_lookup_seconds",
    kind=Kind.HISTOGRAM,
    help="Time of one merged look-up of features.",
    buckets=SECONDS,
)
SERVING_LOOKUP_FAILURES = Metric(
    name="slipway_serving_lookup_failures_total",
    kind=Kind.COUNTER,
    help="Merged look-ups of features that gave nothing.",
    labels=(Label(name="reason", values=("deadline", "error")),),
)
SERVING_WAITING_ROWS = Metric(
    name="slipway_serving_waiting_rows",
    kind=Kind.GAUGE,
    help="Rows that wait for their features now.",
)
SERVING_READY = Metric(
    name="slipway_serving_ready",
    kind=Kind.GAUGE,
    help="1 when the golden rows have passed and the process is not draining.",
)
SERVING_GOLDEN_DIFFERENCE = Metric(
    name="slipway_serving_golden_difference",
    kind=Kind.GAUGE,
    help="Largest difference between a golden row's score here and at registration.",
)
SERVING_MODEL_INFO = Metric(
    name="slipway_serving_model_info",
    kind=Kind.GAUGE,
    help="1, with the service and the model version that this process serves.",
    labels=(Label(name="service"), Label(name="model"), Label(name="model_version")),
)

CATALOGUE: tuple[Metric, ...] = (
    SERVING_REQUESTS,
    SERVING_REQUEST_SECONDS,
    SERVING_ROWS,
    SERVING_TURN_ROWS,
    SERVING_LOOKUP_SECONDS,
    SERVING_LOOKUP_FAILURES,
    SERVING_WAITING_ROWS,
    SERVING_READY,
    SERVING_GOLDEN_DIFFERENCE,
    SERVING_MODEL_INFO,
)
