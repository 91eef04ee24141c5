"""``slipway rollback``: the previous release gets the traffic back."""

from typing import Any

from slipway.console import console
from slipway.pipeline.errors import StepFailed
from slipway.project import Project
from slipway.rollouts.client import Controller

LONGEST_S = 120.0


def rollback(project: Project, service: str, *, actor: str, to: int | None = None) -> dict[str, Any]:
    """Take a service back to its previous release (or to a version) and return the status once it is there."""
    controller = Controller.of(project)
    status = controller.rollback(service, actor=actor, to=to)
    with console.status(f"taking {service} back"):
        status = controller.wait(status["id"], timeout_s=LONGEST_S)
    if status["outcome"] not in {"promoted", "rolled_back"}:
        raise StepFailed(
            f"{service} was not taken back: {status['state']}, {status['reason']}; "
            f"see 'slipway rollouts status {service}' and 'slipway logs controller'"
        )
    stable = controller.service(service)["stable"]
    console.print(
        f"{service} is taken back: version {stable['model_version']} has all traffic, after {status['seconds']:.1f} s"
    )
    return status
