"""What Envoy is told: its bootstrap, and the clusters and routes that it reloads when their files are replaced.

Every rule here was tried with Envoy 1.40; the comments say what went wrong without it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from slipway.rollouts.routes import WHOLE, Address, Route, Unit

TYPE = "type.googleapis.com/envoy"
RTDS_RESOURCE = "slipway_weights"
ROUTES_NAME = "slipway_routes"
BOOTSTRAP_FILE, CLUSTERS_FILE, ROUTES_FILE, LOG_FILE = "envoy.yaml", "clusters.yaml", "routes.yaml", "access.jsonl"

# One worker: a laptop's two cores are for the models. The log is flushed ten times a second, so that a look sees the
# last second whole. Hot restart shares memory between Envoys by number, also with another stack's.
OPTIONS = (
    *("--log-level", "warning"),
    *("--concurrency", "1"),
    "--disable-hot-restart",
    *("--file-flush-interval-msec", "100"),
)

# BentoML's uvicorn closes idle connections after 5 s; closing them first leaves no request on a dying connection.
IDLE_TIMEOUT_S = 2
CONNECT_TIMEOUT_S = 0.25
# Envoy's default of 3 retries at once turned 15 of 320 fallbacks into a 500 at 8 connections.
NO_LIMIT = 10_000
RETRIES = 2
BACK_OFF_S = 0.002
SLACK_S = 1.0
# Drawn by the hour, sent back on every later request.
COOKIE_MAX_AGE_S = 365 * 24 * 3600

UNIT_HEADER = "x-slipway-unit"
HASHED_HEADER = {Unit.USER: UNIT_HEADER, Unit.REQUEST: "x-request-id"}

# A visitor without the unit header gets a cookie; from then on the cookie's value stands in for the header, so that
# the same salted hash assigns both.
UNIT_SCRIPT = f"""
function envoy_on_request(handle)
  local headers = handle:headers()
  if headers:get("{UNIT_HEADER}") then return end
  local unit = string.match(headers:get("cookie") or "", "slipway%-unit=([%w%-]+)")
  if not unit then
    unit = headers:get("x-request-id")
    handle:streamInfo():dynamicMetadata():set("slipway", "unit", unit)
  end
  headers:add("{UNIT_HEADER}", unit)
  handle:clearRouteCache()
end
function envoy_on_response(handle)
  local made = handle:streamInfo():dynamicMetadata():get("slipway")
  if made then
    handle:headers():add("set-cookie",
      "slipway-unit=" .. made["unit"] .. "; Path=/; Max-Age={COOKIE_MAX_AGE_S}; HttpOnly; SameSite=Lax")
  end
end
"""

LOG_FORMAT = {
    "at": "%START_TIME(%s.%6f)%",
    "id": "%REQ(x-request-id)%",
    "unit": f"%REQ({UNIT_HEADER})%",
    "service": "%ROUTE_NAME%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "host": "%UPSTREAM_HOST%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "status": "%RESPONSE_CODE%",
    # Whole milliseconds (%DURATION%) are too coarse for a model that answers in two.
    "us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
    "flags": "%RESPONSE_FLAGS%",
    "score": "%RESP(X-SLIPWAY-SCORE)%",
    "prediction": "%RESP(X-SLIPWAY-PREDICTION)%",
}


def stable_cluster(service: str) -> str:
    return f"{service}_stable"


def candidate_cluster(service: str) -> str:
    return f"{service}_candidate"


def fallback_cluster(service: str) -> str:
    """Return the cluster that the candidate's share is sent to: the candidate, and stable where it fails."""
    return f"{service}_candidate_or_stable"


def runtime_prefix(service: str) -> str:
    return f"slipway.{service}"


def shadow_key(service: str) -> str:
    return f"{runtime_prefix(service)}.shadow"


def bootstrap(folder: Path, *, edge: Address, admin: Address, controller: Address) -> str:
    """Render the start-up configuration; everything that a rollout changes comes from files and over gRPC."""
    return _yaml(
        {
            "node": {"id": "edge", "cluster": "slipway"},
            "admin": {"address": _socket(admin)},
            "layered_runtime": {"layers": [{"name": "defaults", "static_layer": {}}, _weights_layer()]},
            "dynamic_resources": {"cds_config": _watched(folder / CLUSTERS_FILE)},
            "static_resources": {
                "listeners": [{"name": "edge", "address": _socket(edge), "filter_chains": [_filters(folder)]}],
                "clusters": [_controller_cluster(controller)],
            },
        }
    )


def clusters(routes: Sequence[Route]) -> str:
    """Render the file of clusters: two slots for each service, and the candidate's fallback to stable."""
    resources = []
    for route in routes:
        stable, candidate = stable_cluster(route.service), candidate_cluster(route.service)
        resources += [_slot(stable, route.stable), _slot(candidate, route.candidate)]
        resources.append(_fallback(fallback_cluster(route.service), [candidate, stable]))
    kind = f"{TYPE}.config.cluster.v3.Cluster"
    return _yaml({"resources": [{"@type": kind, **resource} for resource in resources]})


def routes(routes: Sequence[Route]) -> str:
    """Render the file of routes."""
    return _yaml({"resources": [route_config(routes)]})


def route_config(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the route configuration: ``/<service>/...`` goes to that service, anything else is not found."""
    unknown = {
        "name": "unknown",
        "match": {"prefix": "/"},
        "direct_response": {
            "status": 404,
            "body": {"inline_string": '{"title":"Not found","status":404,"detail":"no such service at this edge"}\n'},
        },
        "response_headers_to_add": [_header("content-type", "application/problem+json")],
    }
    return {
        "@type": f"{TYPE}.config.route.v3.RouteConfiguration",
        "name": ROUTES_NAME,
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [*map(_route, routes), unknown]}],
    }


def _route(route: Route) -> dict[str, Any]:
    per_try_s = route.per_try_timeout_ms / 1000
    return {
        "name": route.service,
        "match": {"prefix": f"/{route.service}/"},
        "request_headers_to_add": [_header("x-slipway-edge", "1")],
        "route": {
            "prefix_rewrite": "/",
            "timeout": _seconds((RETRIES + 1) * per_try_s + SLACK_S),
            "hash_policy": [_salted(HASHED_HEADER[route.unit], route.salt)],
            "retry_policy": {
                "retry_on": "5xx,reset,connect-failure,refused-stream",
                "num_retries": RETRIES,
                "per_try_timeout": _seconds(per_try_s),
                "retry_back_off": {"base_interval": _seconds(BACK_OFF_S), "max_interval": _seconds(5 * BACK_OFF_S)},
                # The second try leaves the slot that failed: from the candidate to stable.
                "retry_priority": {
                    "name": "envoy.retry_priorities.previous_priorities",
                    "typed_config": {
                        "@type": f"{TYPE}.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                        "update_frequency": 1,
                    },
                },
            },
            "request_mirror_policies": [
                {
                    "cluster": candidate_cluster(route.service),
                    "runtime_fraction": {
                        "default_value": {"numerator": 0, "denominator": "HUNDRED"},
                        "runtime_key": shadow_key(route.service),
                    },
                }
            ],
            "weighted_clusters": {
                "use_hash_policy": True,
                "runtime_key_prefix": runtime_prefix(route.service),
                # The candidate stands first, so that its range [0, weight) only grows in a ramp. These weights hold
                # whenever the controller does not renew its own.
                "clusters": [
                    {"name": fallback_cluster(route.service), "weight": 0},
                    {"name": stable_cluster(route.service), "weight": WHOLE},
                ],
            },
        },
    }


def _salted(header: str, salt: str) -> dict[str, Any]:
    rewrite = {"pattern": {"regex": "^(.*)$"}, "substitution": f"{salt}:\\1"}
    return {"header": {"header_name": header, "regex_rewrite": rewrite}}


def _slot(name: str, address: Address | None) -> dict[str, Any]:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _socket(address)}}]}] if address else []
    protocol = {
        "@type": f"{TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {"idle_timeout": _seconds(IDLE_TIMEOUT_S)},
        "explicit_http_config": {"http_protocol_options": {}},
    }
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": _seconds(CONNECT_TIMEOUT_S),
        "circuit_breakers": _breakers(),
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol},
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }


def _fallback(name: str, members: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "connect_timeout": _seconds(CONNECT_TIMEOUT_S),
        "lb_policy": "CLUSTER_PROVIDED",
        "circuit_breakers": _breakers(),
        "cluster_type": {
            "name": "envoy.clusters.aggregate",
            "typed_config": {
                "@type": f"{TYPE}.extensions.clusters.aggregate.v3.ClusterConfig",
                "clusters": members,
            },
        },
    }


def _breakers() -> dict[str, Any]:
    kinds = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    return {"thresholds": [dict.fromkeys(kinds, NO_LIMIT)]}


def _filters(folder: Path) -> dict[str, Any]:
    log = {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": f"{TYPE}.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(folder / LOG_FILE),
            "log_format": {"json_format": LOG_FORMAT},
        },
    }
    unit = {
        "@type": f"{TYPE}.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": UNIT_SCRIPT},
    }
    manager = {
        "@type": f"{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "use_remote_address": True,
        # A caller's own request id is kept: it joins its logs with ours.
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "access_log": [log],
        "rds": {"route_config_name": ROUTES_NAME, "config_source": _watched(folder / ROUTES_FILE)},
        "http_filters": [
            {"name": "envoy.filters.http.lua", "typed_config": unit},
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{TYPE}.extensions.filters.http.router.v3.Router"},
            },
        ],
    }
    return {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}


def _weights_layer() -> dict[str, Any]:
    # Envoy's own back-off grows to 30 s, in which a controller that is back could not move a weight.
    retry = {"retry_back_off": {"base_interval": _seconds(0.1), "max_interval": _seconds(0.5)}}
    source = {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "controller", "retry_policy": retry}}],
    }
    config = {
        "resource_api_version": "V3",
        "api_config_source": source,
        # An edge must start, with all traffic on stable, while no controller runs.
        "initial_fetch_timeout": _seconds(1),
    }
    return {"name": "weights", "rtds_layer": {"name": RTDS_RESOURCE, "rtds_config": config}}


def _controller_cluster(address: Address) -> dict[str, Any]:
    kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    http2 = {"http2_protocol_options": {"connection_keepalive": {"interval": _seconds(2), "timeout": _seconds(2)}}}
    return {
        "name": "controller",
        "type": "STATIC",
        "connect_timeout": _seconds(CONNECT_TIMEOUT_S),
        "typed_extension_protocol_options": {
            kind: {"@type": f"{TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": http2}
        },
        "load_assignment": {
            "cluster_name": "controller",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _socket(address)}}]}],
        },
    }


def _watched(path: Path) -> dict[str, Any]:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def _socket(address: Address) -> dict[str, Any]:
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def _header(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _seconds(value: float) -> str:
    return f"{value:.3f}s"


def _yaml(value: dict[str, Any]) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=1000)
