"""The runner's ports in memory: for tests, and for trying a plan against traffic that never happened."""

import json
from collections.abc import Callable, Mapping, Sequence

from slipway.bentos.release import Release
from slipway.bentos.releases import ServiceReleases
from slipway.rollouts.envoy import fallback_cluster, stable_cluster
from slipway.rollouts.ports import Exposure, LogChunk, SlotPhase, SlotStatus, Split
from slipway.rollouts.routes import Address, Route, takes_candidate

TTL_S = 3.0


class InMemoryEdge:
    """An edge that obeys at once; ``clock`` gives wall time in seconds, ``listening = False`` cuts it off."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.listening = True
        self.routes: dict[str, Route] = {}
        self.log: list[bytes] = []
        self._splits: dict[str, Split] = {}
        self._exposures: dict[str, list[Exposure]] = {}

    def route(self, routes: Sequence[Route]) -> bool:
        if self.listening:
            self.routes = {route.service: route for route in routes}
        return self.listening

    def split(self, splits: Mapping[str, Split]) -> None:
        if not self.listening:
            return
        now_s = self.clock()
        for service, split in splits.items():
            self._splits[service] = split
            spans = self._exposures.setdefault(service, [])
            if spans and spans[-1].until_s > now_s:
                last = spans.pop()
                if last.weight == split.weight:
                    spans.append(Exposure(weight=last.weight, since_s=last.since_s, until_s=now_s + TTL_S))
                    continue
                spans.append(Exposure(weight=last.weight, since_s=last.since_s, until_s=now_s))
            spans.append(Exposure(weight=split.weight, since_s=now_s, until_s=now_s + TTL_S))

    def exposures(self, service: str) -> tuple[Exposure, ...]:
        return tuple(self._exposures.get(service, ()))

    def end_of_log(self) -> int:
        return len(self.log)

    def read_log(self, position: int) -> LogChunk:
        return LogChunk(lines=tuple(self.log[position:]), position=len(self.log))

    def weight(self, service: str) -> int:
        """Return the weight in use at this moment: what was asked for, or 0 once that has expired."""
        spans = self._exposures.get(service, [])
        return spans[-1].weight if spans and spans[-1].until_s > self.clock() else 0

    def serve(
        self,
        service: str,
        unit: str,
        *,
        ms: float,
        candidate_ms: float,
        failed: bool = False,
        at_s: float | None = None,
    ) -> None:
        """Log one request as the real edge would; ``failed``, ``candidate_ms``: where the candidate is asked."""
        route = self.routes[service]
        asked = takes_candidate(unit, salt=route.salt, weight=self.weight(service))
        falls_back = asked and failed
        host = route.candidate if asked and not failed else route.stable
        line = {
            "at": f"{self.clock() if at_s is None else at_s:.6f}",
            "us": round(1000 * (candidate_ms if asked else ms)),
            "service": service,
            "unit": unit,
            "id": unit,
            "cluster": fallback_cluster(service) if asked else stable_cluster(service),
            "host": str(host),
            "attempts": 2 if falls_back else 1,
            "status": 200,
            "flags": "-",
        }
        self.log.append(json.dumps(line).encode())


class InMemorySlots:
    """Slots whose processes are ready at once; tests set ``statuses`` to anything else."""

    def __init__(self) -> None:
        self.running: dict[tuple[str, str], Release] = {}
        self.statuses: dict[str, SlotStatus] = {}
        self._ports: dict[tuple[str, str], int] = {}

    def start(self, service: str, slot: str, release: Release) -> None:
        self.running[service, slot] = release
        self._ports.setdefault((service, slot), 20_000 + len(self._ports))

    def look(self, service: str, slot: str) -> SlotStatus:
        if (service, slot) not in self.running:
            return SlotStatus()
        address = Address(host="127.0.0.1", port=self._ports[service, slot])
        ready = SlotStatus(phase=SlotPhase.READY, address=address, golden=True, words="all golden rows score as wanted")
        return self.statuses.get(slot, ready)

    def stop(self, service: str, slot: str) -> None:
        self.running.pop((service, slot), None)
        self._ports.pop((service, slot), None)

    def occupied(self, service: str) -> frozenset[str]:
        return frozenset(slot for owner, slot in self.running if owner == service)


class InMemoryReleases:
    """A release book that only remembers; ``registry_answers = False`` leaves the alias where it is."""

    def __init__(self) -> None:
        self.written: dict[str, ServiceReleases] = {}
        self.champions: dict[str, int] = {}
        self.registry_answers = True

    def write(self, service: str, releases: ServiceReleases) -> None:
        self.written[service] = releases

    def champion_is(self, release: Release) -> bool:
        if self.registry_answers:
            self.champions[release.model] = release.model_version
        return self.champions.get(release.model) == release.model_version
