"""Locust users: what a team's ``loadtests/<service>.py`` builds on. Loaded by a Locust process only.

The pace and the ids come from the runner by environment variables, since Locust loads its file by path.
"""

import itertools
import os
import random
from pathlib import Path
from typing import Any

import gevent
import msgspec
from locust import FastHttpUser, constant_throughput, task

from slipway.loadtests.profile import read_ids

IDS = "SLIPWAY_LOAD_IDS"
RPS_PER_USER = "SLIPWAY_LOAD_RPS_PER_USER"

PREDICT = "/v1/predict"
# A little above the time limit of a request in the service, so that its own answer is what is counted.
TIMEOUT_S = 5.0


class PredictById(FastHttpUser):
    """Asks for one entity after the other at a constant pace and looks into every answer.

    An answer counts as good when it is 200 and holds one finite score; the pace holds as long as an answer takes less
    than the time between two requests of one user.
    """

    abstract = True
    rps_per_user = float(os.environ.get(RPS_PER_USER, "1"))
    wait_time = constant_throughput(rps_per_user)
    network_timeout = TIMEOUT_S
    connection_timeout = TIMEOUT_S

    def on_start(self) -> None:
        ids = read_ids(Path(os.environ[IDS]))
        start = random.randrange(len(ids))  # noqa: S311  users begin at different places; nothing is secret
        self._ids = itertools.cycle(ids[start:] + ids[:start])
        # All users are started in one moment and keep one pace: without this they would ask in one burst each time,
        # and the times of their answers would tell of the burst (13 ms in the median instead of 3).
        gevent.sleep(random.uniform(0, 1 / self.rps_per_user))  # noqa: S311  as above

    @task
    def predict(self) -> None:
        body = msgspec.json.encode({"rows": [{"entity_id": next(self._ids)}]}).decode()
        with self.client.post(PREDICT, data=body, name="predict by id", catch_response=True) as answer:
            if answer.status_code == 200:  # noqa: PLR2004
                if (words := wrong(answer.content)) is not None:
                    answer.failure(words)
            elif answer.status_code:
                answer.failure(f"{answer.status_code}: {(answer.text or '')[:120]}")


def wrong(content: bytes | None) -> str | None:
    """Return what is wrong with a 200's body, or ``None``."""
    try:
        answer: Any = msgspec.json.decode(content or b"")
        (prediction,) = answer["predictions"]
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        return f"200 without one prediction: {(content or b'')[:120]!r}"
    if not isinstance(prediction.get("score"), float):
        return f"200 without a score: {prediction!r}"
    return None
