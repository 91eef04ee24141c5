"""Weights over Envoy's runtime discovery service (gRPC), each with a time to live that only a live controller renews.

A hung controller is as dead as a killed one: weights are renewed only while their *lease* lasts, which the controller's
own loop must extend at each look. Not over REST: Envoy ignores the time to live there.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Condition, Thread
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.runtime.v3 import rtds_pb2, rtds_pb2_grpc
from google.protobuf import any_pb2, duration_pb2

from slipway.rollouts.errors import EdgeUnavailable
from slipway.rollouts.ports import Exposure

log = logging.getLogger(__name__)

TYPE_URL = "type.googleapis.com/envoy.service.runtime.v3.Runtime"
TTL_S = 3.0
RENEW_S = 1.0
# An acknowledged snapshot reaches the proxy's workers within microseconds; a stalled machine gets this much.
SETTLE_S = 0.05
STREAMS = 16  # a thread for each proxy that may be connected at once
EXPOSURES_KEPT = 16


@dataclass(frozen=True, slots=True)
class _Sent:
    """One response on its way: which weights it carried and when it left."""

    weights: Mapping[str, int]
    at_s: float


class WeightServer(rtds_pb2_grpc.RuntimeDiscoveryServiceServicer):  # type: ignore[misc]
    """Serves one runtime layer; knows which weights the proxy has confirmed, and for which span of time."""

    def __init__(self, *, resource: str, address: str, ttl_s: float = TTL_S, renew_s: float = RENEW_S) -> None:
        self.resource, self.address, self.ttl_s, self.renew_s = resource, address, ttl_s, renew_s
        self._changed = Condition()
        self._layer: dict[str, int] = {}
        self._weights: dict[str, int] = {}
        self._version = 0
        self._lease_until = 0.0
        self._nonce = 0
        self._streams = 0
        self._stopping = False
        self._exposures: dict[str, list[Exposure]] = {}
        self._server: grpc.Server | None = None

    def start(self) -> None:
        """Listen; raise :class:`EdgeUnavailable` when the port is taken."""
        server = grpc.server(ThreadPoolExecutor(STREAMS, "rtds"), options=[("grpc.so_reuseport", 0)])
        rtds_pb2_grpc.add_RuntimeDiscoveryServiceServicer_to_server(self, server)
        try:
            server.add_insecure_port(self.address)
        except RuntimeError as error:
            msg = f"weights can't be served on {self.address}: {error}; another controller may hold the port"
            raise EdgeUnavailable(msg) from error
        server.start()
        self._server = server

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._server:
            self._server.stop(grace=0.5).wait()

    def set(self, layer: Mapping[str, int], weights: Mapping[str, int], *, lease_s: float) -> None:
        """Push runtime values now and renew them for ``lease_s``; ``weights``: the candidates' among them."""
        with self._changed:
            self._lease_until = time.monotonic() + lease_s
            if layer != self._layer:
                self._layer, self._weights = dict(layer), dict(weights)
                self._version += 1
                self._changed.notify_all()

    @property
    def connected(self) -> bool:
        """Whether a proxy listens at this moment."""
        return self._streams > 0

    def exposures(self, service: str) -> tuple[Exposure, ...]:
        """Return the spans of time over which a service's weight was confirmed, oldest first."""
        with self._changed:
            return tuple(self._exposures.get(service, ()))

    def StreamRuntime(  # noqa: N802  the name is the protocol's
        self, request_iterator: Iterator[Any], context: grpc.ServicerContext
    ) -> Iterator[Any]:
        next(request_iterator)
        under_way: dict[str, _Sent] = {}
        reader = Thread(target=self._read_answers, args=(request_iterator, under_way), daemon=True, name="rtds-answers")
        reader.start()
        with self._changed:
            self._streams += 1
        context.add_callback(self._lost)
        log.info("rtds.connected", extra={"peer": context.peer()})
        version = -1
        while context.is_active() and not self._stopping:
            with self._changed:
                if version == self._version:
                    self._changed.wait(self.renew_s)
                response, version = self._next_response(under_way), self._version
            if response is not None:
                yield response

    def _lost(self) -> None:
        """End what was certain: a proxy that starts again has the weights of its files until it asks."""
        with self._changed:
            self._streams -= 1
            now_s = time.time()
            for service in self._exposures:
                self._end(service, unless=None, now_s=now_s)
        log.info("rtds.disconnected")

    def _next_response(self, under_way: dict[str, _Sent]) -> Any | None:
        if self._stopping or self._version == 0 or time.monotonic() > self._lease_until:
            return None
        self._nonce += 1
        nonce, now_s = str(self._nonce), time.time()
        # The time counts from before the send: an answer that takes long leaves less of the time to live, never more.
        under_way[nonce] = _Sent(dict(self._weights), now_s)
        for service, weight in self._weights.items():
            self._end(service, unless=weight, now_s=now_s)
        return self._response(nonce)

    def _response(self, nonce: str) -> Any:
        runtime = rtds_pb2.Runtime(name=self.resource)
        runtime.layer.update(self._layer)
        content, wrapped = any_pb2.Any(), any_pb2.Any()
        content.Pack(runtime)
        ttl = duration_pb2.Duration()
        ttl.FromMilliseconds(round(self.ttl_s * 1000))
        wrapped.Pack(discovery_pb2.Resource(name=self.resource, ttl=ttl, resource=content))
        return discovery_pb2.DiscoveryResponse(
            version_info=str(self._version), nonce=nonce, type_url=TYPE_URL, resources=[wrapped]
        )

    def _read_answers(self, answers: Iterator[Any], under_way: dict[str, _Sent]) -> None:
        try:
            for answer in answers:
                with self._changed:
                    sent = under_way.pop(answer.response_nonce, None)
                    if sent is not None and answer.HasField("error_detail"):
                        log.error("rtds.refused", extra={"reason": answer.error_detail.message})
                    elif sent is not None:
                        self._confirm(sent, time.time())
        except grpc.RpcError:  # how gRPC ends the stream of a proxy that went away
            return

    def _confirm(self, sent: _Sent, now_s: float) -> None:
        for service, weight in sent.weights.items():
            spans = self._exposures.setdefault(service, [])
            until_s = sent.at_s + self.ttl_s
            if spans and spans[-1].weight == weight and sent.at_s <= spans[-1].until_s:
                spans[-1] = replace(spans[-1], until_s=until_s)
            else:
                spans.append(Exposure(weight=weight, since_s=now_s + SETTLE_S, until_s=until_s))
                del spans[:-EXPOSURES_KEPT]

    def _end(self, service: str, *, unless: int | None, now_s: float) -> None:
        spans = self._exposures.get(service)
        if spans and spans[-1].weight != unless and spans[-1].until_s > now_s:
            spans[-1] = replace(spans[-1], until_s=max(now_s, spans[-1].since_s))
