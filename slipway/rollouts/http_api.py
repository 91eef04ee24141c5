"""The controller's interface on loopback: JSON, a bearer token, errors as problem documents."""

import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Path
from starlette.types import ASGIApp, Receive, Scope, Send

from slipway.bentos.release import Release
from slipway.errors import SlipwayError
from slipway.monitoring.journal import JournalUnavailable
from slipway.rollouts import views
from slipway.rollouts.codec import to_json
from slipway.rollouts.errors import InvalidRequest, NothingToRollOut, RolloutNotFound
from slipway.rollouts.observation import Command, Order
from slipway.rollouts.plan import RolloutPlan
from slipway.rollouts.runner import Runner
from slipway.rollouts.running import Running
from slipway.rollouts.services import Service

OPEN_PATH = "/healthz"
STATUSES: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (RolloutNotFound, HTTPStatus.NOT_FOUND),
    (NothingToRollOut, HTTPStatus.CONFLICT),
    (JournalUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (ValueError, HTTPStatus.UNPROCESSABLE_ENTITY),
)

Body = TypeVar("Body", bound=msgspec.Struct)


class Install(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A first stable release."""

    release: dict[str, Any]
    actor: str
    per_try_timeout_ms: float = 500.0


class Start(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rollout to start; ``plan`` is the table ``[rollout]``."""

    service: str
    candidate: dict[str, Any]
    actor: str
    plan: dict[str, Any] = {}
    waits_for: tuple[str, ...] = ()
    per_try_timeout_ms: float = 500.0


class Gate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A gate that was passed or not."""

    gate: str
    actor: str
    reason: str = ""


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody tells a rollout, or all of them, to do."""

    actor: str
    reason: str = ""


class Rollback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A way back; ``to`` is a model version, without it the previous release."""

    actor: str
    to: int | None = None


class Endpoints:
    """What is asked of a runner over HTTP; ``healthy`` says whether the controller's loop looks."""

    def __init__(
        self, runner: Runner, *, edge_url: str, clock: Callable[[], datetime], healthy: Callable[[], bool]
    ) -> None:
        self._runner, self._edge_url, self._clock, self._healthy = runner, edge_url, clock, healthy

    def routes(self) -> list[Path]:
        return [
            Path(OPEN_PATH, self.health),
            Path("/services", self.services),
            Path("/services/{service}", self.service),
            Path("/services/{service}/install", self.install, methods=["POST"]),
            Path("/services/{service}/rollback", self.rollback, methods=["POST"]),
            Path("/rollouts", self.start, methods=["POST"]),
            Path("/rollouts/{id}", self.rollout),
            Path("/rollouts/{id}/events", self.events),
            Path("/rollouts/{id}/pass", self.pass_gate, methods=["POST"]),
            Path("/rollouts/{id}/refuse", self.refuse_gate, methods=["POST"]),
            Path("/rollouts/{id}/abort", self.abort, methods=["POST"]),
            Path("/rollouts/{id}/approve", self.approve, methods=["POST"]),
            Path("/rollouts/{id}/hold", self.hold, methods=["POST"]),
            Path("/rollouts/{id}/resume", self.resume, methods=["POST"]),
            Path("/freezes", self.freezes),
            Path("/freezes/{service}", self.freeze, methods=["PUT"]),
            Path("/freezes/{service}/lift", self.unfreeze, methods=["POST"]),
        ]

    def health(self, _request: Request) -> Response:
        if self._healthy():
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "not looking"}, HTTPStatus.SERVICE_UNAVAILABLE)

    def services(self, _request: Request) -> Response:
        return JSONResponse([self._service(name) for name in sorted(self._runner.services())])

    def service(self, request: Request) -> Response:
        return JSONResponse(self._service(request.path_params["service"]))

    def rollout(self, request: Request) -> Response:
        return self._shown(self._runner.rollout(request.path_params["id"]))

    def events(self, request: Request) -> Response:
        return JSONResponse([views.event(entry) for entry in self._runner.events(request.path_params["id"])])

    async def install(self, request: Request) -> Response:
        body = await _body(request, Install)
        name = request.path_params["service"]
        running = await run_in_threadpool(
            self._runner.install,
            name,
            Release.from_json(body.release),
            route=Service(name=name, per_try_timeout_ms=body.per_try_timeout_ms),
            actor=body.actor,
        )
        return self._shown(running) if running else JSONResponse({"outcome": "unchanged"})

    async def start(self, request: Request) -> Response:
        body = await _body(request, Start)
        return self._shown(
            await run_in_threadpool(
                self._runner.start,
                body.service,
                Release.from_json(body.candidate),
                RolloutPlan.parse(body.plan, where=body.service),
                waits_for=body.waits_for,
                route=Service(name=body.service, per_try_timeout_ms=body.per_try_timeout_ms),
                actor=body.actor,
            )
        )

    async def rollback(self, request: Request) -> Response:
        body = await _body(request, Rollback)
        name = request.path_params["service"]
        running = await run_in_threadpool(self._runner.rollback, name, to_version=body.to, actor=body.actor)
        return self._shown(running)

    async def pass_gate(self, request: Request) -> Response:
        body = await _body(request, Gate)
        return await self._order(request, Command(order=Order.PASS, actor=body.actor, gate=body.gate))

    async def refuse_gate(self, request: Request) -> Response:
        body = await _body(request, Gate)
        command = Command(order=Order.REFUSE, actor=body.actor, gate=body.gate, reason=body.reason)
        return await self._order(request, command)

    async def abort(self, request: Request) -> Response:
        body = await _body(request, Said)
        return await self._order(request, Command(order=Order.ABORT, actor=body.actor, reason=body.reason))

    async def approve(self, request: Request) -> Response:
        return await self._said(request, Order.APPROVE)

    async def hold(self, request: Request) -> Response:
        return await self._said(request, Order.HOLD)

    async def resume(self, request: Request) -> Response:
        return await self._said(request, Order.RESUME)

    def freezes(self, _request: Request) -> Response:
        return JSONResponse(self._freezes())

    async def freeze(self, request: Request) -> Response:
        body = await _body(request, Said)
        name = request.path_params["service"]
        await run_in_threadpool(self._runner.freeze, name, actor=body.actor, reason=body.reason)
        return JSONResponse(self._freezes())

    async def unfreeze(self, request: Request) -> Response:
        body = await _body(request, Said)
        await run_in_threadpool(self._runner.unfreeze, request.path_params["service"], actor=body.actor)
        return JSONResponse(self._freezes())

    def _freezes(self) -> Any:
        return to_json(self._runner.freezes())

    async def _said(self, request: Request, order: Order) -> Response:
        body = await _body(request, Said)
        return await self._order(request, Command(order=order, actor=body.actor, reason=body.reason))

    async def _order(self, request: Request, command: Command) -> Response:
        return self._shown(await run_in_threadpool(self._runner.command, request.path_params["id"], command))

    def _shown(self, running: Running) -> Response:
        return JSONResponse(views.rollout(running, edge_url=self._edge_url, now=self._clock()))

    def _service(self, name: str) -> dict[str, Any]:
        known, running = self._runner.service(name)
        return views.service(known, running, edge_url=self._edge_url, now=self._clock())


def application(endpoints: Endpoints, *, token: str) -> ASGIApp:
    """Return the ASGI application."""
    return BearerToken(Starlette(routes=endpoints.routes(), exception_handlers={SlipwayError: _problem}), token)


class BearerToken:
    """Lets a request pass only with the token; whether the controller lives is no secret."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._wanted = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != OPEN_PATH:
            headers: Mapping[bytes, bytes] = dict(scope["headers"])
            if not hmac.compare_digest(headers.get(b"authorization", b""), self._wanted):
                detail = "the token is not the one in .slipway/secrets/controller-token"
                await _problem_response(HTTPStatus.UNAUTHORIZED, "ControllerRefused", detail)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _body(request: Request, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except msgspec.MsgspecError as error:
        msg = f"{request.method} {request.url.path}: {error}; keys are {', '.join(kind.__struct_fields__)}"
        raise InvalidRequest(msg) from None


def _problem(_request: Request, error: Exception) -> Response:
    status = next((code for kind, code in STATUSES if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    return _problem_response(status, type(error).__name__, str(error))


def _problem_response(status: HTTPStatus, kind: str, detail: str) -> JSONResponse:
    content = {"type": kind, "title": status.phrase, "status": status, "detail": detail}
    return JSONResponse(content, status, media_type="application/problem+json")
