"""The controller's client: what every ``slipway rollouts`` command and ``ship`` speak through."""

import time
from collections.abc import Sequence
from typing import Any, Self

import httpx

from slipway.bentos.release import Release
from slipway.errors import SlipwayError
from slipway.local.passwords import password
from slipway.monitoring.journal import JournalUnavailable
from slipway.monitoring.slo import Slo
from slipway.project import Project, load_toml
from slipway.rollouts import errors
from slipway.rollouts.freezes import EVERY_SERVICE
from slipway.rollouts.plan import RolloutPlan
from slipway.rollouts.settings import TOKEN_NAME, RolloutsSettings

TIMEOUT_S = 15.0
POLL_S = 0.2
# A controller that was killed is back within this; every request may safely be sent again.
RETRY_S = 8.0

_KINDS: dict[str, type[SlipwayError]] = {
    kind.__name__: kind
    for kind in (
        errors.InvalidPlan,
        errors.InvalidRequest,
        errors.RolloutNotFound,
        errors.NothingToRollOut,
        errors.ControllerRefused,
        JournalUnavailable,
    )
}


class Controller:
    """One stack's controller; statuses are JSON objects as :mod:`slipway.rollouts.views` makes them."""

    def __init__(self, url: str, token: str, *, project: Project) -> None:
        self._url, self._project = url, project
        self._headers = {"authorization": f"Bearer {token}"}

    @classmethod
    def of(cls, project: Project) -> Self:
        """Return the controller of a project's stack, running or not."""
        token = password(project.home, TOKEN_NAME).get_secret_value()
        return cls(RolloutsSettings.load(project).controller_url, token, project=project)

    def services(self) -> list[dict[str, Any]]:
        """Return all services of the edge."""
        found: list[dict[str, Any]] = self._ask("GET", "/services")
        return found

    def service(self, name: str) -> dict[str, Any]:
        """Return a service with its releases; raise ``RolloutNotFound`` for an unknown one."""
        return self._one("GET", f"/services/{name}")

    def install(self, service: str, release: Release, *, actor: str, timeout_s: float = 180.0) -> dict[str, Any]:
        """Put a first release behind a service's stable slot and wait until it serves."""
        body = {"release": release.to_json(), "actor": actor, **self._routing(service)}
        status = self._one("POST", f"/services/{service}/install", body)
        return status if "id" not in status else self.wait(status["id"], timeout_s=timeout_s)

    def start(
        self, service: str, candidate: Release, plan: RolloutPlan, *, waits_for: Sequence[str] = (), actor: str
    ) -> dict[str, Any]:
        """Start a rollout, or attach to the same one that is on its way."""
        body = {
            "service": service,
            "candidate": candidate.to_json(),
            "plan": plan.model_dump(mode="json"),
            "waits_for": list(waits_for),
            "actor": actor,
            **self._routing(service),
        }
        return self._one("POST", "/rollouts", body)

    def rollout(self, rollout_id: str) -> dict[str, Any]:
        return self._one("GET", f"/rollouts/{rollout_id}")

    def events(self, rollout_id: str) -> list[dict[str, Any]]:
        """Return a rollout's events, each with the state that it led to and what was seen."""
        found: list[dict[str, Any]] = self._ask("GET", f"/rollouts/{rollout_id}/events")
        return found

    def pass_gate(self, rollout_id: str, *, gate: str, actor: str) -> dict[str, Any]:
        """Say that a gate which the rollout waits for was passed."""
        return self._one("POST", f"/rollouts/{rollout_id}/pass", {"gate": gate, "actor": actor})

    def refuse(self, rollout_id: str, *, gate: str, reason: str, actor: str) -> dict[str, Any]:
        """Say that a gate was not passed; the rollout ends as rejected."""
        return self._one("POST", f"/rollouts/{rollout_id}/refuse", {"gate": gate, "reason": reason, "actor": actor})

    def abort(self, rollout_id: str, *, reason: str, actor: str) -> dict[str, Any]:
        """End a rollout now; all traffic returns to stable. One that has ended is left alone."""
        return self._one("POST", f"/rollouts/{rollout_id}/abort", {"reason": reason, "actor": actor})

    def approve(self, rollout_id: str, *, actor: str, reason: str = "") -> dict[str, Any]:
        """Let a rollout that waits for an approval go on to all of the traffic."""
        return self._one("POST", f"/rollouts/{rollout_id}/approve", {"reason": reason, "actor": actor})

    def hold(self, rollout_id: str, *, actor: str, reason: str = "") -> dict[str, Any]:
        """Keep a rollout's weight where it is; guardrails go on watching."""
        return self._one("POST", f"/rollouts/{rollout_id}/hold", {"reason": reason, "actor": actor})

    def resume(self, rollout_id: str, *, actor: str, reason: str = "") -> dict[str, Any]:
        """Let a rollout that is on hold go on."""
        return self._one("POST", f"/rollouts/{rollout_id}/resume", {"reason": reason, "actor": actor})

    def freezes(self) -> dict[str, dict[str, Any]]:
        """Return what is frozen: by whom, why, since when; the name ``*`` stands for every service."""
        return self._one("GET", "/freezes")

    def freeze(self, service: str = EVERY_SERVICE, *, actor: str, reason: str = "") -> dict[str, Any]:
        """Let nothing start or advance; a way back still goes."""
        return self._one("PUT", f"/freezes/{service}", {"reason": reason, "actor": actor})

    def unfreeze(self, service: str = EVERY_SERVICE, *, actor: str) -> dict[str, Any]:
        """Lift a freeze."""
        return self._one("POST", f"/freezes/{service}/lift", {"actor": actor})

    def rollback(self, service: str, *, actor: str, to: int | None = None) -> dict[str, Any]:
        """Take a service back: end its rollout, or put the previous release (or a version) behind stable again."""
        return self._one("POST", f"/services/{service}/rollback", {"actor": actor, "to": to})

    def wait(self, rollout_id: str, *, timeout_s: float) -> dict[str, Any]:
        """Wait until a rollout has ended and return its status."""
        give_up = time.monotonic() + timeout_s
        while (status := self.rollout(rollout_id))["finished_at"] is None:
            if time.monotonic() > give_up:
                now = f"{status['state']}, {status['reason']}"
                msg = f"rollout {rollout_id} has not ended within {timeout_s:g} s: {now}; ask again later"
                raise errors.ControllerUnreachable(msg)
            time.sleep(POLL_S)
        return status

    def _one(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        found: dict[str, Any] = self._ask(method, path, body)
        return found

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        give_up = time.monotonic() + RETRY_S
        while True:
            try:
                with httpx.Client(base_url=self._url, headers=self._headers, trust_env=False) as client:
                    answer = client.request(method, path, json=body, timeout=TIMEOUT_S)
                break
            except httpx.TransportError as error:
                if time.monotonic() > give_up:
                    msg = (
                        f"the rollouts controller at {self._url} does not answer: {error or type(error).__name__}; "
                        "start it with 'slipway up', see its log with 'slipway logs controller'"
                    )
                    raise errors.ControllerUnreachable(msg) from None
                time.sleep(POLL_S)
        if answer.is_success:
            return answer.json()
        raise _error(answer)

    def _routing(self, service: str) -> dict[str, Any]:
        """Return how the service's ``bento.toml`` wants it routed; nothing where it doesn't say."""
        path = self._project.bentos_dir / service / "bento.toml"
        table = load_toml(path).get("slo")
        if table is None:
            return {}
        return {"per_try_timeout_ms": Slo.parse(table, where=self._project.relative(path)).per_try_timeout_ms}


def _error(answer: httpx.Response) -> SlipwayError:
    if "json" not in answer.headers.get("content-type", ""):
        seen = f"{answer.status_code}: {answer.text[:200]}"
        msg = f"the rollouts controller answered {seen}; see its log with 'slipway logs controller'"
        return errors.RolloutsError(msg)
    problem = answer.json()
    return _KINDS.get(problem["type"], errors.RolloutsError)(problem["detail"])
