"""Which inputs led to which promoted release, so that a run on the same ones can say ``unchanged`` at once."""

import json

from slipway import digest
from slipway.bentos import releases
from slipway.bentos.release import Release
from slipway.pipeline import inputs
from slipway.pipeline.context import Ship
from slipway.rollouts.client import Controller
from slipway.rollouts.errors import RolloutsError


def remember(ship: Ship, promoted: Release) -> None:
    """Keep the promoted release under the digest of its inputs; a release that was broken on purpose is not kept."""
    if promoted.sabotage:
        return
    folder = ship.project.home / "cache" / "shipped"
    folder.mkdir(parents=True, exist_ok=True)
    name = digest.short(inputs.shipment(ship))
    (folder / f"{name}.json").write_text(json.dumps(promoted.to_json()), encoding="utf-8")


def promoted(ship: Ship) -> Release | None:
    """Return the release that these very inputs led to, if it is still the one with all traffic."""
    file = ship.project.home / "cache" / "shipped" / f"{digest.short(inputs.shipment(ship))}.json"
    stable = releases.load(ship.project, ship.service).stable
    if not file.is_file() or stable is None:
        return None
    release = Release.from_json(json.loads(file.read_text(encoding="utf-8")))
    return release if release.digest == stable.digest and _serves(ship, release) else None


def _serves(ship: Ship, release: Release) -> bool:
    try:
        stable = Controller.of(ship.project).service(ship.service)["stable"]
    except RolloutsError:
        return False
    return bool(stable) and stable["digest"] == release.digest
