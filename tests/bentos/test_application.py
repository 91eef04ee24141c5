import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.bentos.application import Application
from slipway.bentos.policy import Policy
from slipway.bentos.ports import InMemoryStoredFeatures
from slipway.features.layout import FeatureSetLayout
from slipway.models.errors import BundleAltered
from slipway.monitoring import metrics

Ask = Callable[[httpx.AsyncClient], Awaitable[Any]]


@pytest.fixture
def store(layout: FeatureSetLayout, rows: Any) -> InMemoryStoredFeatures:
    return InMemoryStoredFeatures(
        {layout.redis_key(f"a{n}"): layout.rows([row]).tobytes() for n, row in enumerate(rows)}
    )


def served(application: Application, ask: Ask) -> Any:
    """Run the application in this process and return what ``ask`` gives for a client of it."""

    async def serve() -> Any:
        await application.startup()
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            result = await ask(client)
        await application.shutdown()
        return result

    return asyncio.run(serve())


@pytest.fixture
def application(packaged: Callable[..., Path], store: InMemoryStoredFeatures) -> Application:
    return Application(packaged(policy=Policy(max_bytes=500)), store=store)


def test_a_prediction_has_model_version_score_and_label_when_asked_by_id(
    application: Application, score_of: Callable[[Any], float], rows: Any
) -> None:
    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(
            "/v1/predict", json={"rows": [{"entity_id": "a0"}, {"features": rows[1]}]}, headers={"x-request-id": "r-1"}
        )

    answer = served(application, ask)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["x-request-id"] == "r-1"
    assert answer.headers["x-slipway-prediction"] == "ok"
    assert float(answer.headers["x-slipway-score"]) == pytest.approx(answer.json()["predictions"][0]["score"], abs=1e-5)
    assert answer.json() == {
        "model": "accounts",
        "model_version": 7,
        "request_id": "r-1",
        "predictions": [
            {"score": pytest.approx(score_of(rows[0]), abs=1e-6), "label": "Yes", "features": "ok"},
            {"score": pytest.approx(score_of(rows[1]), abs=1e-6), "label": "Yes", "features": "given"},
        ],
    }


@pytest.mark.parametrize("given", ["", "x" * 129, "two words", "new\tline"])
def test_a_request_id_is_made_when_none_is_given_that_can_be_repeated(application: Application, given: str) -> None:
    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(
            "/v1/predict", json={"rows": [{"entity_id": "a0"}]}, headers={"x-request-id": given} if given else {}
        )

    answer = served(application, ask)
    made = answer.json()["request_id"]
    assert len(made) == 32
    assert answer.headers["x-request-id"] == made != given


@pytest.mark.parametrize(
    ("method", "content", "status", "kind"),
    [
        ("POST", b"{", 400, "malformed"),
        ("POST", b'{"rows":[]}', 422, "invalid-request"),
        ("POST", b'{"rows":[{"entity_id":"nobody"}]}', 422, "unknown-entity"),
        ("POST", b" " * 501, 413, "too-large"),
        ("GET", b"", 405, "method"),
    ],
)
def test_an_error_is_problem_json_with_the_request_id_when_a_request_is_wrong(
    application: Application, method: str, content: bytes, status: int, kind: str
) -> None:
    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.request(method, "/v1/predict", content=content, headers={"x-request-id": "r-2"})

    answer = served(application, ask)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert (problem["status"], problem["request_id"]) == (status, "r-2")
    assert problem["type"] == f"urn:slipway:problem:{kind}"
    assert problem["detail"]


def test_a_body_is_read_to_its_end_when_it_comes_in_pieces(application: Application) -> None:
    async def pieces() -> Any:
        for piece in (b'{"rows":[{"enti', b'ty_id":"a0"', b"}]}"):
            yield piece

    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/v1/predict", content=pieces())

    assert served(application, ask).status_code == 200


def test_nothing_is_answered_when_the_client_left_before_its_body_was_sent(application: Application) -> None:
    sent: list[Any] = []

    async def ask(_: httpx.AsyncClient) -> None:
        messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            sent.append(message)

        await application({"type": "http", "method": "POST", "path": "/v1/predict", "headers": []}, receive, send)

    served(application, ask)
    assert sent == []


def test_the_service_is_ready_with_its_golden_rows_when_it_has_started(application: Application) -> None:
    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await client.get(path) for path in ("/livez", "/readyz", "/v1/golden")]

    alive, ready, golden = served(application, ask)
    assert (alive.status_code, ready.status_code) == (200, 200)
    assert golden.json()["passed"]
    assert golden.json()["rows"] == 3


def test_the_service_is_alive_but_not_ready_when_it_has_not_started(application: Application) -> None:
    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://test") as client:
            looks = [await client.get(path) for path in ("/livez", "/readyz", "/v1/golden", "/metrics")]
            return [*looks, await client.post("/v1/predict", json={"rows": [{"entity_id": "a0"}]})]

    answers = asyncio.run(ask())
    assert [answer.status_code for answer in answers] == [200, 503, 404, 404, 503]
    assert answers[1].json()["detail"] == "starting"
    assert answers[4].headers["retry-after"] == "1"


def test_the_service_does_not_start_when_the_model_file_was_altered(packaged: Callable[..., Path]) -> None:
    folder = packaged()
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BundleAltered, match="altered"):
        asyncio.run(Application(folder, store=InMemoryStoredFeatures({})).startup())


def test_an_error_of_ours_is_500_problem_json_when_the_model_breaks(
    application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        def broken(_: Any) -> Any:
            msg = "the model's library is broken"
            raise RuntimeError(msg)

        assert application._predictor is not None
        application._predictor._turns._scorer.score = broken
        return await client.post("/v1/predict", json={"rows": [{"entity_id": "a0"}]})

    class Replaceable:
        def __init__(self, scorer: Any) -> None:
            self.score = scorer.score

    async def ask_with_replaceable(client: httpx.AsyncClient) -> httpx.Response:
        assert application._predictor is not None
        turns = application._predictor._turns
        turns._scorer = Replaceable(turns._scorer)
        return await ask(client)

    answer = served(application, ask_with_replaceable)
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:slipway:problem:internal")
    assert "library" not in answer.text
    assert "the model's library is broken" in caplog.text


def series(text: str) -> set[str]:
    return {line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#")}


def test_no_metric_series_is_made_when_a_thousand_unknown_paths_are_asked(application: Application) -> None:
    async def ask(client: httpx.AsyncClient) -> tuple[str, str]:
        await client.post("/v1/predict", json={"rows": [{"entity_id": "a0"}]})
        before = await client.get("/metrics")
        for number in range(1000):
            answer = await client.get(f"/nothing/{number}?q={number}")
            assert answer.status_code == 404
            await client.post("/v1/predict", content=f'{{"rows":[{{"entity_id":"e{number}"}}]}}')
        return before.text, (await client.get("/metrics")).text

    before, after = served(application, ask)
    assert series(before) == series(after)
    assert "_created" not in before


def test_what_happened_is_counted_when_metrics_are_read(application: Application) -> None:
    async def ask(client: httpx.AsyncClient) -> str:
        for body in ('{"rows":[{"entity_id":"a0"},{"entity_id":"a1"}]}', '{"rows":[{"entity_id":"x"}]}', "{"):
            await client.post("/v1/predict", content=body)
        return (await client.get("/metrics")).text

    lines = served(application, ask).splitlines()
    golden_rows = 3.0
    assert 'slipway_serving_requests_total{status="200"} 1.0' in lines
    assert 'slipway_serving_requests_total{status="400"} 1.0' in lines
    assert 'slipway_serving_requests_total{status="422"} 1.0' in lines
    assert 'slipway_serving_rows_total{features="ok"} 2.0' in lines
    assert 'slipway_serving_rows_total{features="missing"} 1.0' in lines
    assert f'slipway_serving_rows_total{{features="given"}} {golden_rows}' in lines
    assert 'slipway_serving_model_info{model="accounts",model_version="7",service="accounts"} 1.0' in lines
    assert "slipway_serving_ready 1.0" in lines
    assert "slipway_serving_waiting_rows 0.0" in lines


def test_each_emitted_metric_is_catalogued_and_each_catalogued_one_emitted(application: Application) -> None:
    async def ask(client: httpx.AsyncClient) -> str:
        return (await client.get("/metrics")).text

    typed = {tuple(line.split()[2:]) for line in served(application, ask).splitlines() if line.startswith("# TYPE")}
    serving = [metric for metric in metrics.CATALOGUE if metric.name.startswith("slipway_serving_")]
    assert typed == {(metric.name, metric.kind.value) for metric in serving}


def test_lifespan_tells_the_server_what_is_wrong_when_the_start_fails(tmp_path: Path) -> None:
    async def live() -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "lifespan.startup"}

        async def send(message: Any) -> None:
            sent.append(message)

        await Application(tmp_path)({"type": "lifespan"}, receive, send)
        return sent

    (message,) = asyncio.run(live())
    assert message["type"] == "lifespan.startup.failed"
    assert "serving.json" in message["message"]
    assert json.dumps(message)
