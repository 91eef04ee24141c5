"""Convergence: makes processes, routes, weights and records what the states want, whatever they are now."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from slipway.bentos.releases import ServiceReleases
from slipway.rollouts.desired import Desired, desired
from slipway.rollouts.ports import Edge, Releases, Slots, Split
from slipway.rollouts.routes import Address, Route
from slipway.rollouts.running import Running
from slipway.rollouts.services import HISTORY, Service, ServiceBook


class Convergence:
    """Owns the services; ``routed`` says whether the edge uses the routes that were wanted last."""

    def __init__(self, *, edge: Edge, slots: Slots, releases: Releases, book: ServiceBook) -> None:
        self._edge, self._slots, self._releases, self._book = edge, slots, releases, book
        self._written: dict[str, ServiceReleases] = {}
        self._splits: dict[str, Split] = {}
        self.services = book.load()
        self.routed = False

    def keep(self, service: Service) -> None:
        """Remember a service, before anything is written down that refers to it."""
        self.services[service.name] = service
        self._book.save(self.services)

    def withdraw(self, name: str) -> None:
        """Take a service's candidate out of the traffic at once."""
        self._splits[name] = Split()
        self._edge.split(self._splits)

    def converge(self, active: Mapping[str, Running], now: datetime) -> None:
        """Act; ``active`` holds the rollout that drives a service, where there is one."""
        wanted = {name: self._wanted(service, active.get(name)) for name, service in self.services.items()}
        for name, want in wanted.items():
            for slot, release in want.slots.items():
                self._slots.start(name, slot, release)
        self._record(wanted, active)
        self.routed = self._edge.route([self._route(name, want) for name, want in sorted(wanted.items())])
        self._splits = {name: self._split(name, active, now) for name in wanted}
        self._edge.split(self._splits)
        for name, want in wanted.items():
            # A process stops only when the edge has left it.
            for slot in self._slots.occupied(name) - set(want.slots) if self.routed else ():
                self._slots.stop(name, slot)

    def _wanted(self, service: Service, running: Running | None) -> Desired:
        """Return what the service's rollout wants; without one, to stay as it is."""
        if running is not None:
            return desired(running.state)
        return Desired(
            stable_slot=service.slot,
            candidate_slot="",
            stable=service.stable,
            wanted=None,
            previous=service.previous,
            champion=service.stable if service.champion_due else None,
            slots={service.slot: service.stable} if service.stable else {},
        )

    def _split(self, name: str, active: Mapping[str, Running], now: datetime) -> Split:
        return active[name].split(now) if name in active else Split()

    def _record(self, wanted: Mapping[str, Desired], active: Mapping[str, Running]) -> None:
        """Write down what became stable: in the services' book, the release file, the registry."""
        before = dict(self.services)
        for name, want in wanted.items():
            service, running = self.services[name], active.get(name)
            champion_due = service.champion_due or want.champion is not None
            if champion_due and want.champion is not None and self._releases.champion_is(want.champion):
                champion_due = False
            history = service.history
            if want.stable and want.stable not in history[-1:]:
                history = (*history, want.stable)[-HISTORY:]
            self.services[name] = replace(
                service,
                slot=want.stable_slot,
                stable=want.stable,
                previous=want.previous,
                history=history,
                salt=running.state.salt if running else service.salt,
                champion_due=champion_due,
            )
            releases = ServiceReleases(stable=want.stable, candidate=want.wanted, previous=want.previous)
            if self._written.get(name) != releases:
                self._releases.write(name, releases)
                self._written[name] = releases
        if self.services != before:
            self._book.save(self.services)

    def _route(self, name: str, want: Desired) -> Route:
        service = self.services[name]
        return Route(
            service=name,
            stable=self._address(name, want.stable_slot),
            candidate=self._address(name, want.candidate_slot),
            salt=service.salt,
            unit=service.unit,
            per_try_timeout_ms=service.per_try_timeout_ms,
        )

    def _address(self, name: str, slot: str) -> Address | None:
        return self._slots.look(name, slot).address if slot else None
