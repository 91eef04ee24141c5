"""The application of a service: a small ASGI application that answers predictions from a bundle.

It runs mounted in a Bento and under a plain ASGI server. Nothing is loaded before :meth:`Application.startup`, so that
a process that only looks at the service (BentoML's build, its supervisor) stays small.
"""

import gc
import logging
import re
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from slipway.bentos.asgi import AsgiApp, Receive, Scope, Send
from slipway.bentos.baked import Baked
from slipway.bentos.drain import Drain
from slipway.bentos.golden import GOLDEN, PREDICT, GoldenResult
from slipway.bentos.problem import CONTENT_TYPE as PROBLEM
from slipway.bentos.problem import Refused, refused
from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from slipway.bentos.instruments import Instruments
    from slipway.bentos.ports import StoredFeatures
    from slipway.bentos.predictor import Predictor

logger = logging.getLogger(__name__)

Headers = tuple[tuple[bytes, bytes], ...]

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
CLOSE = (b"connection", b"close")
# What gateways and tracing libraries send; anything else could not be put into a log line or a header unescaped.
REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
LEFT = 0


class ClientLeft(Exception):
    """The client closed the connection before it had sent its request."""


class Application:
    """ASGI 3: ``POST /v1/predict``, ``GET /v1/golden /livez /readyz /metrics``."""

    def __init__(self, bundle: Path, *, store: "StoredFeatures | None" = None) -> None:
        self._bundle = bundle
        self._store = store
        self._predictor: Predictor | None = None
        self._instruments: Instruments | None = None
        self._golden: GoldenResult | None = None
        self._max_bytes = 0
        self._drain = Drain(self._begin_drain)
        self._answer: AsgiApp = self._answer_http

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here: the golden rows have passed, and no end has been announced."""
        return self._golden is not None and self._golden.passed and not self._drain.begun

    async def startup(self) -> None:
        """Load the bundle, ask the golden rows, take over SIGTERM; called in the event loop that serves."""
        # Heavy, and needed by the process that answers only.
        from slipway.bentos.instruments import Instruments  # noqa: PLC0415
        from slipway.bentos.predictor import Predictor  # noqa: PLC0415
        from slipway.bentos.redis_features import RedisStoredFeatures  # noqa: PLC0415
        from slipway.bentos.sabotage import Sabotage, break_requests  # noqa: PLC0415
        from slipway.settings import RedisSettings  # noqa: PLC0415

        baked = Baked.load(self._bundle)
        instruments = self._instruments = Instruments()
        deadline_s = baked.policy.features_deadline_ms / 1000
        # From the environment alone: where a Bento runs there is no project to look for files in.
        redis = RedisSettings.model_validate({})
        store = self._store or RedisStoredFeatures(redis, deadline_s=deadline_s)
        predictor = Predictor.load(self._bundle, baked=baked, store=store, instruments=instruments)
        manifest = predictor.manifest
        instruments.serve(service=baked.service, model=manifest.model, model_version=manifest.model_version)
        self._max_bytes = baked.policy.max_bytes
        self._predictor = predictor
        if baked.sabotage:
            self._answer = break_requests(self._answer_http, Sabotage(baked.sabotage))
        result = self._golden = await predictor.golden()
        instruments.golden_difference.set(result.max_difference)
        instruments.ready.set(result.passed)
        log = logger.info if result.passed else logger.error
        log("serving.golden_rows: %s", result.words)
        self._drain.install()
        # Thousands of objects of the imported libraries would otherwise be walked through in each full collection:
        # pauses of 80-190 ms (measured).
        gc.collect()
        gc.freeze()

    async def shutdown(self) -> None:
        """Finish what is under way and let go of Redis."""
        if self._predictor is not None:
            await self._predictor.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _answer_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == PREDICT:
            await self._answer_predict(scope, receive, send)
            return
        status, kind, content = self._look(scope["path"])
        await self._send(send, status, kind, content, _request_id(scope))

    def _look(self, path: str) -> tuple[int, bytes, bytes]:
        """Return the answer to everything that is not a prediction."""
        golden = self._golden
        match path:
            case "/livez":
                return 200, TEXT, b"alive\n"
            case "/readyz" if self.ready:
                return 200, TEXT, b"ready\n"
            case "/readyz":
                words = "draining" if self._drain.begun else "starting" if golden is None else golden.words
                problem = refused(503, "not-ready", "Not ready", words).problem
                return 503, PROBLEM, msgspec.json.encode(problem)
            case "/v1/golden" if golden is not None:
                return 200, JSON, msgspec.json.encode(golden)
            case "/metrics" if self._instruments is not None:
                from slipway.bentos.instruments import CONTENT_TYPE  # noqa: PLC0415  heavy, see startup

                return 200, CONTENT_TYPE, self._instruments.render()
            case _:
                detail = f"there is nothing here; see POST {PREDICT}, GET {GOLDEN}, /livez, /readyz, /metrics"
                return 404, PROBLEM, msgspec.json.encode(refused(404, "not-found", "Not found", detail).problem)

    async def _answer_predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        request_id = _request_id(scope)
        status, kind = 200, JSON
        about: Headers = ()
        try:
            content, about = await self._predict(scope, receive, request_id)
        except Refused as refusal:
            status, kind = refusal.problem.status, PROBLEM
            content = msgspec.json.encode(msgspec.structs.replace(refusal.problem, request_id=request_id))
            retry_after_s = refusal.problem.retry_after_s
        except ClientLeft:
            self._count(LEFT, started)
            return
        except Exception:
            # The boundary of a request: the client learns that it is our fault, the log learns why.
            logger.exception("serving.request_failed", extra={"request_id": request_id})
            status, kind, retry_after_s = 500, PROBLEM, 0
            problem = refused(500, "internal", "Internal error", "the service failed; its log says why").problem
            content = msgspec.json.encode(msgspec.structs.replace(problem, request_id=request_id))
        else:
            retry_after_s = 0
        self._count(status, started)
        await self._send(send, status, kind, content, request_id, retry_after_s=retry_after_s, about=about)

    async def _predict(self, scope: Scope, receive: Receive, request_id: str) -> tuple[bytes, Headers]:
        if scope["method"] != "POST":
            raise refused(405, "method", "Method not allowed", f"{PREDICT} takes POST, not {scope['method']}")
        predictor = self._predictor
        if predictor is None:
            raise refused(503, "not-ready", "Not ready", "the service has not started yet", retry_after_s=1)
        body = await self._body(receive)
        scored = await predictor.predict(body)
        return predictor.answer(scored, request_id), predictor.about(scored)

    async def _body(self, receive: Receive) -> bytes:
        message = await receive()
        body: bytes = message.get("body", b"")
        while message["type"] != "http.disconnect":
            if len(body) > self._max_bytes:
                detail = f"the body is larger than {self._max_bytes} bytes; send fewer rows at a time"
                raise refused(413, "too-large", "Body too large", detail)
            if not message.get("more_body"):
                return body
            message = await receive()
            body += message.get("body", b"")
        raise ClientLeft

    def _count(self, status: int, started: float) -> None:
        instruments = self._instruments
        if instruments is not None:
            instruments.requests[status].inc()
            instruments.request_seconds.observe(time.perf_counter() - started)

    async def _send(
        self,
        send: Send,
        status: int,
        kind: bytes,
        content: bytes,
        request_id: str,
        *,
        retry_after_s: int = 0,
        about: Headers = (),
    ) -> None:
        headers = [
            (b"content-type", kind),
            (b"content-length", b"%d" % len(content)),
            (b"x-request-id", request_id.encode()),
            *about,
        ]
        if retry_after_s:
            headers.append((b"retry-after", b"%d" % retry_after_s))
        if self._drain.begun:
            headers.append(CLOSE)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _live(self, receive: Receive, send: Send) -> None:
        """Serve ASGI's lifespan, under a plain server; a Bento calls startup and shutdown itself."""
        while (await receive())["type"] == "lifespan.startup":
            try:
                await self.startup()
            except SlipwayError as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
        await self.shutdown()
        await send({"type": "lifespan.shutdown.complete"})

    def _begin_drain(self) -> None:
        if self._instruments is not None:
            self._instruments.ready.set(0)


def _request_id(scope: Scope) -> str:
    """Return the request id that the client gave, where it can be repeated as it is, or a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            if REQUEST_ID.fullmatch(value):
                return value.decode("ascii")  # type: ignore[no-any-return]
            break
    return uuid.uuid4().hex
