"""The edge as one Envoy beside this process: files that are replaced, weights over gRPC, its access log."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from slipway.rollouts import envoy
from slipway.rollouts.ports import Exposure, LogChunk, Split
from slipway.rollouts.routes import WHOLE, Address, Route
from slipway.rollouts.rtds import WeightServer
from slipway.rollouts.services import replace_file

log = logging.getLogger(__name__)

# A controller that looks every second misses one look and a half before it is taken for dead; then the time to live
# (3 s) runs out at the proxy.
LEASE_S = 2.5
ADMIN_TIMEOUT_S = 0.5
# One look reads at most this much (some 200,000 lines); the rest waits for the next.
CHUNK_BYTES = 64 * 1024 * 1024


class EnvoyEdge:
    """``folder`` holds the files that Envoy watches; ``admin_url`` is asked whether it uses them yet."""

    def __init__(self, folder: Path, *, admin_url: str, weights: WeightServer) -> None:
        self._folder, self._weights = folder, weights
        self._admin = httpx.Client(base_url=admin_url, timeout=ADMIN_TIMEOUT_S, trust_env=False)
        self._routes: tuple[Route, ...] | None = None
        self._in_use = False

    def close(self) -> None:
        self._admin.close()

    def route(self, routes: Sequence[Route]) -> bool:
        if self._routes != tuple(routes):
            write_files(self._folder, routes)
            self._routes, self._in_use = tuple(routes), False
        self._in_use = self._in_use or self._uses(routes)
        return self._in_use

    def split(self, splits: Mapping[str, Split]) -> None:
        layer: dict[str, int] = {}
        for service, split in splits.items():
            prefix = envoy.runtime_prefix(service)
            layer[f"{prefix}.{envoy.fallback_cluster(service)}"] = split.weight
            layer[f"{prefix}.{envoy.stable_cluster(service)}"] = WHOLE - split.weight
            layer[envoy.shadow_key(service)] = split.shadow_percent
        weights = {service: split.weight for service, split in splits.items()}
        self._weights.set(layer, weights, lease_s=LEASE_S)

    def exposures(self, service: str) -> tuple[Exposure, ...]:
        return self._weights.exposures(service)

    def end_of_log(self) -> int:
        path = self._folder / envoy.LOG_FILE
        return path.stat().st_size if path.is_file() else 0

    def read_log(self, position: int) -> LogChunk:
        end = self.end_of_log()
        if end < position:  # the file was replaced
            position = 0
        if end == position:
            return LogChunk(position=position)
        with (self._folder / envoy.LOG_FILE).open("rb") as file:
            file.seek(position)
            content = file.read(CHUNK_BYTES)
        whole = content.rfind(b"\n") + 1
        return LogChunk(lines=tuple(content[:whole].splitlines()), position=position + whole)

    def rotate_log(self, *, above_bytes: int) -> bool:
        """Begin a new access log where the old one has grown too long; the one before it is dropped.

        Only for a time without rollouts: positions in the old file mean nothing in the new one.
        """
        path = self._folder / envoy.LOG_FILE
        if self.end_of_log() <= above_bytes:
            return False
        path.replace(path.with_name(f"{path.name}.1"))
        try:
            self._admin.post("/reopen_logs").raise_for_status()
        except httpx.HTTPError as error:
            log.warning("edge.log_not_reopened", extra={"reason": str(error)})
        return True

    def _uses(self, routes: Sequence[Route]) -> bool:
        """Ask Envoy for the hosts of its slots and the routes that it has taken over."""
        try:
            clusters = self._ask("/clusters", format="json").get("cluster_statuses", [])
            taken = self._ask("/config_dump", resource="dynamic_route_configs").get("configs", [])
        except httpx.HTTPError as error:
            log.info("edge.admin_silent", extra={"reason": str(error)})
            return False
        hosts = {status["name"]: _hosts(status) for status in clusters}
        wanted = {envoy.stable_cluster(route.service): _only(route.stable) for route in routes}
        wanted |= {envoy.candidate_cluster(route.service): _only(route.candidate) for route in routes}
        if any(hosts.get(name) != addresses for name, addresses in wanted.items()):
            return False
        return _policies([config["route_config"] for config in taken]) == _policies([envoy.route_config(routes)])

    def _ask(self, path: str, **query: str) -> dict[str, Any]:
        answer = self._admin.get(path, params=query)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def write_files(folder: Path, routes: Sequence[Route]) -> None:
    """Replace the files of clusters and routes, clusters first: no route may name one that is not there yet."""
    replace_file(folder / envoy.CLUSTERS_FILE, envoy.clusters(routes))
    replace_file(folder / envoy.ROUTES_FILE, envoy.routes(routes))


def _only(address: Address | None) -> set[Address]:
    return {address} if address else set()


def _hosts(status: Mapping[str, Any]) -> set[Address]:
    sockets = [host["address"]["socket_address"] for host in status.get("host_statuses", [])]
    return {Address(host=socket["address"], port=socket["port_value"]) for socket in sockets}


def _policies(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return, by route, how it draws units: what changes from one rollout to the next."""
    routes = [route for config in configs for host in config["virtual_hosts"] for route in host["routes"]]
    return {route["name"]: route["route"]["hash_policy"] for route in routes if "route" in route}
