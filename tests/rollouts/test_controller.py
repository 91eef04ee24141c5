"""The controller as a process of the stack, with real Bentos behind a real Envoy, killed in the middle of a rollout."""

import json
import os
import signal
import time

from envoys import Users, wait_until

from slipway.bentos import releases
from slipway.local.program import ProgramState
from slipway.monitoring.journal import JournalUnavailable, PostgresJournal
from slipway.rollouts.client import Controller
from slipway.rollouts.errors import RolloutNotFound
from slipway.rollouts.plan import RolloutPlan
from slipway.rollouts.programs import programs
from slipway.rollouts.replay import first_difference
from slipway.rollouts.state import STREAMS

SHORT = RolloutPlan.parse(
    {
        "shadow_s": 1,
        "soak_s": 1,
        "alpha": 0.2,
        "steps": [{"weight": 25, "size_s": 6}, {"weight": 50, "size_s": 30}],
        "guardrails": {"errors": {"delta": 0.05}},
    }
)


USERS_BODY = json.dumps(
    {
        "rows": [
            {
                "features": {
                    "plan": "basic",
                    "home city": "Oslo",
                    "senior": False,
                    "tenure": 3,
                    "charges": 20.5,
                    "income": 1.0,
                }
            }
        ]
    }
).encode()


def test_rollout_survives_its_controllers_death_and_users_notice_nothing(live, new_release):
    project, stack = live
    first, second = new_release(project, 7), new_release(project, 8)
    stack.up(only=("postgres", "redis"), extra=lambda: programs(project, stack))
    controller, processes = Controller.of(project), stack.processes
    assert controller.install("accounts", first, actor="test")["outcome"] == "promoted"
    status = controller.start("accounts", second, SHORT, waits_for=("load_test",), actor="test")
    wait_until(lambda: controller.rollout(status["id"])["ready"], timeout_s=90)
    with Users(stack.port("edge"), path="/accounts/v1/predict", body=USERS_BODY, pause_s=0.05) as users:
        controller.pass_gate(status["id"], gate="load_test", actor="test")
        wait_until(lambda: controller.rollout(status["id"])["state"] == "CANARY[0]", timeout_s=60)
        time.sleep(2)
        before = controller.rollout(status["id"])
        killed = processes.status_of("controller").pid
        os.kill(killed, signal.SIGKILL)
        wait_until(
            lambda: processes.status_of("controller").pid not in {None, killed} and bool(controller.services()),
            timeout_s=60,
        )
        after = controller.rollout(status["id"])
        assert after["id"] == before["id"]
        assert after["counts"]["requests"] >= before["counts"]["requests"]
        ended = controller.wait(status["id"], timeout_s=90)
    assert (ended["outcome"], ended["decided_by"]) == ("promoted", "evidence"), ended["reason"]
    assert {code for code, _ in users.seen} == {200}
    assert ended["counts"]["failed_requests_seen_by_users"] == 0
    book = releases.load(project, "accounts")
    assert (book.stable, book.candidate, book.previous) == (second, None, first)
    wait_until(lambda: processes.status_of("accounts-candidate").state is ProgramState.ABSENT, timeout_s=30)
    assert processes.status_of("accounts-stable-b").state is ProgramState.RUNNING
    journal = PostgresJournal(stack.postgres_settings())
    for head in journal.heads(STREAMS):
        assert first_difference(journal.read(head.stream)) is None
    journal.close()

    with Users(stack.port("edge"), path="/accounts/v1/predict", body=USERS_BODY, pause_s=0.05) as users:
        processes.stop("postgres")
        back = controller.wait(controller.rollback("accounts", actor="test")["id"], timeout_s=60)
        processes.start("postgres")
    assert (back["kind"], back["outcome"]) == ("rollback", "promoted")
    assert controller.service("accounts")["stable"]["model_version"] == 7
    assert {code for code, _ in users.seen} == {200}
    wait_until(lambda: len(_events(controller, back["id"])) > 3, timeout_s=60)


def _events(controller: Controller, rollout_id: str) -> list[dict[str, object]]:
    try:
        return controller.events(rollout_id)
    except (RolloutNotFound, JournalUnavailable):  # the database is not back yet, or its events are still on disk
        return []
