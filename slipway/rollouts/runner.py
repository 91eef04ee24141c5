"""The runner: observe, step, append, act. It converges to what each state wants, and keeps no decision to itself.

An event is in the journal before anything is done for it; only what leads back to a good release goes ahead of it, and
goes on without.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from threading import RLock

import msgspec

from slipway import __version__, digest
from slipway.bentos.release import Release
from slipway.monitoring.journal import Entry, JournalUnavailable, Spool, chain
from slipway.rollouts.codec import from_json, to_json
from slipway.rollouts.convergence import Convergence
from slipway.rollouts.desired import split
from slipway.rollouts.errors import NothingToRollOut, RolloutNotFound
from slipway.rollouts.freezes import EVERY_SERVICE, Freeze, FreezeBook
from slipway.rollouts.observation import Command, Observation, Order
from slipway.rollouts.observer import Line, parse
from slipway.rollouts.plan import RolloutPlan
from slipway.rollouts.ports import Edge, Releases, Slots, Split
from slipway.rollouts.running import Running, observe
from slipway.rollouts.services import CANDIDATE_SLOT, Service, ServiceBook
from slipway.rollouts.state import RETREATING, STREAMS, Kind, RolloutState, SlotNames
from slipway.rollouts.step import Stepped, step

log = logging.getLogger(__name__)

# How many ended rollouts are remembered for whoever asks; the journal has them all.
ENDED_KEPT = 100


class Runner:
    """Drives every rollout of one edge; safe to call from several threads."""

    def __init__(
        self,
        *,
        edge: Edge,
        slots: Slots,
        releases: Releases,
        journal: Spool,
        book: ServiceBook,
        clock: Callable[[], datetime],
        freezes: FreezeBook | None = None,
    ) -> None:
        self._freezes = freezes or FreezeBook()
        self._edge, self._slots, self._releases = edge, slots, releases
        self._journal, self._clock = journal, clock
        self._lock = RLock()
        self._convergence = Convergence(edge=edge, slots=slots, releases=releases, book=book)
        self._running: dict[str, Running] = {}
        self._ended: dict[str, Running] = {}
        self._resumed = False

    # --- orders

    def install(self, service: str, release: Release, *, route: Service, actor: str) -> Running | None:
        """Put a first release behind a service's stable slot; ``None`` when it is there already.

        ``route`` carries how the service is routed (unit, timeout); its releases are not read.
        """
        with self._lock:
            self._resume()
            known = self._services.get(service, replace(route, name=service))
            plan = RolloutPlan()
            if (running := self._attachable(service, release, plan)) is not None:
                return running
            if known.stable and known.stable.digest == release.digest:
                return None
            self._refuse_frozen(service)
            if known.stable:
                msg = f"{service} has a stable release, {known.stable.name}; start a rollout of {release.name} instead"
                raise NothingToRollOut(msg)
            self._convergence.keep(known)
            content_id = _content_id(service, Kind.INSTALL, None, release, plan)
            return self._begin(known, Kind.INSTALL, release, plan, content_id=content_id, actor=actor)

    def start(
        self,
        service: str,
        candidate: Release,
        plan: RolloutPlan,
        *,
        waits_for: tuple[str, ...],
        route: Service,
        actor: str,
    ) -> Running:
        """Start a rollout, or attach to the same one that is on its way; another one of the service is superseded."""
        with self._lock:
            self._resume()
            known = self._service(service)
            if (running := self._attachable(service, candidate, plan)) is not None:
                return running
            self._refuse_frozen(service)
            if known.stable is None:
                msg = f"{service} has no stable release to compare with; install one first"
                raise NothingToRollOut(msg)
            if known.stable.digest == candidate.digest:
                msg = f"{candidate.name} is the stable release of {service} already: nothing to roll out"
                raise NothingToRollOut(msg)
            content_id = _content_id(service, Kind.ROLLOUT, known.stable, candidate, plan)
            for other in self._of(service):
                other.commands.append(Command(order=Order.SUPERSEDE, actor=actor))
            self._convergence.keep(replace(known, unit=plan.unit, per_try_timeout_ms=route.per_try_timeout_ms))
            return self._begin(
                known, Kind.ROLLOUT, candidate, plan, content_id=content_id, actor=actor, waits_for=waits_for
            )

    def rollback(self, service: str, *, to_version: int | None, actor: str) -> Running:
        """Take the service back: end its rollout, or put the previous release behind the stable slot again."""
        with self._lock:
            known = self._service(service)
            active = self._of(service)
            if active and to_version is None:
                return self.command(active[-1].state.id, Command(order=Order.ABORT, actor=actor, reason="rollback"))
            release = known.release(to_version)
            if known.stable is None or release is None or release.digest == known.stable.digest:
                wanted = "previous release" if to_version is None else f"earlier release of version {to_version}"
                now = known.stable.name if known.stable else "none"
                msg = f"{service} has no {wanted} to go back to (stable is {now}); ship another version instead"
                raise NothingToRollOut(msg)
            for other in active:
                other.commands.append(Command(order=Order.ABORT, actor=actor, reason="rollback"))
            # Named by the clock: counting attempts would need the database.
            content_id = f"{service}-rollback-{self._clock():%Y%m%dT%H%M%S}"
            running = self._begin(known, Kind.ROLLBACK, release, RolloutPlan(), content_id=content_id, actor=actor)
            self.look()
            return running

    def command(self, rollout_id: str, command: Command) -> Running:
        """Give an order to a rollout and look at once; one that has ended is left alone."""
        with self._lock:
            if (running := self._running.get(rollout_id)) is not None:
                running.commands.append(command)
                self.look()
                return running
            return self.rollout(rollout_id)

    def freeze(self, service: str, *, actor: str, reason: str) -> None:
        """Let nothing start or advance, in one service or in all; a way back still goes."""
        with self._lock:
            if service != EVERY_SERVICE:
                self._service(service)
            self._freezes.put(service, Freeze(actor=actor, reason=reason, at=self._clock()))
            self._tell_frozen(Order.FREEZE, actor=actor, reason=reason)

    def unfreeze(self, service: str, *, actor: str) -> None:
        """Lift a freeze; rollouts that no other freeze covers go on."""
        with self._lock:
            self._freezes.lift(service)
            self._tell_frozen(Order.UNFREEZE, actor=actor, reason="")

    def freezes(self) -> dict[str, Freeze]:
        with self._lock:
            return self._freezes.all()

    def _refuse_frozen(self, service: str) -> None:
        if (freeze := self._freezes.of(service)) is not None:
            msg = f"{service} is {freeze.words}: nothing starts; lift it with 'slipway unfreeze'"
            raise NothingToRollOut(msg)

    def _tell_frozen(self, order: Order, *, actor: str, reason: str) -> None:
        for running in self._running.values():
            is_frozen = self._freezes.of(running.state.service) is not None
            if is_frozen == (order is Order.FREEZE) and is_frozen != bool(running.state.frozen_by):
                running.commands.append(Command(order=order, actor=actor, reason=reason))

    def when_idle(self, work: Callable[[], object]) -> None:
        """Do something that must not happen while a rollout is on its way."""
        with self._lock:
            if self._resumed and not self._running:
                work()

    # --- questions

    def services(self) -> dict[str, Service]:
        with self._lock:
            return dict(self._services)

    def service(self, name: str) -> tuple[Service, Running | None]:
        """Return a service and the rollout that is on its way."""
        with self._lock:
            active = self._of(name)
            return self._service(name), active[-1] if active else None

    def rollout(self, rollout_id: str) -> Running:
        """Return a rollout, running or ended; the journal is asked for one that ended long ago."""
        with self._lock:
            known = self._running.get(rollout_id) or self._ended.get(rollout_id)
            if known is not None:
                return known
            entries = self._entries(rollout_id)
            return Running.restored(entries[-1])

    def events(self, rollout_id: str) -> tuple[Entry, ...]:
        """Return a rollout's events, the first first."""
        with self._lock:
            return self._entries(rollout_id)

    # --- the loop

    def look(self) -> None:
        """Look once at every rollout, decide, write it down, and make the world what the states want."""
        with self._lock:
            try:
                self._resume()
                self._journal.fold_in()
            except JournalUnavailable as error:
                log.warning("rollouts.journal_away", extra={"reason": str(error)})
            chunks: dict[int, tuple[list[Line], int]] = {}
            for running in list(self._running.values()):
                self._look_at(running, chunks)
            self._convergence.converge(self._driving(), self._clock())
            for running in [running for running in self._running.values() if running.state.is_finished]:
                self._end(running)

    def _look_at(self, running: Running, chunks: dict[int, tuple[list[Line], int]]) -> None:
        lines = self._read(running, chunks)
        now = self._clock()
        seen = observe(
            running,
            lines,
            now,
            edge=self._edge,
            slots=self._slots,
            releases=self._releases,
            routed=self._convergence.routed,
            alone=self._driving()[running.state.service] is running,
        )
        stepped = step(running.state, seen, now)
        if stepped.state is running.state:
            return
        if stepped.state.phase in RETREATING and split(running.state) != Split():
            # The one act that comes before its event: users don't wait for a database that hangs.
            self._convergence.withdraw(running.state.service)
        entry = self._event(running, seen, stepped, now)
        if not self._store(entry, urgent=stepped.state.is_urgent):
            running.unjournalled_since = running.unjournalled_since or now
            return
        running.unjournalled_since = None
        running.head, running.state, running.seen = entry, stepped.state, seen
        del running.commands[: len(seen.commands)]
        for reason in stepped.reasons:
            log.info(
                "rollouts.decided", extra={"rollout": running.state.id, "phase": running.state.label, "why": reason}
            )

    def _read(self, running: Running, chunks: dict[int, tuple[list[Line], int]]) -> list[Line]:
        """Read what was logged since the last look; rollouts at the same position share the work."""
        if running.position not in chunks:
            chunk = self._edge.read_log(running.position)
            lines, broken = parse(chunk.lines)
            if broken:
                log.error("rollouts.log_lines_broken", extra={"lines": broken})
            chunks[running.position] = lines, chunk.position
        lines, running.position = chunks[running.position]
        return lines

    def _event(self, running: Running, seen: Observation, stepped: Stepped, now: datetime) -> Entry:
        actor = seen.commands[-1].actor if seen.commands else "controller"
        body = {
            "state": to_json(stepped.state),
            "observation": to_json(seen),
            "actions": stepped.actions,
            "reasons": stepped.reasons,
            "code": __version__,
        }
        return chain(running.head, stream=stepped.state.stream, at=now, kind="look", actor=actor, body=body)

    def _store(self, entry: Entry, *, urgent: bool) -> bool:
        try:
            self._journal.append(entry)
        except JournalUnavailable as error:
            if not urgent:
                return False
            log.warning("rollouts.event_spooled", extra={"stream": entry.stream, "reason": str(error)})
            self._journal.spool(entry)
        return True

    def _end(self, running: Running) -> None:
        self._running.pop(running.state.id)
        self._ended[running.state.id] = running
        while len(self._ended) > ENDED_KEPT:
            self._ended.pop(next(iter(self._ended)))

    # --- beginnings

    def _begin(
        self,
        service: Service,
        kind: Kind,
        candidate: Release,
        plan: RolloutPlan,
        *,
        content_id: str,
        actor: str,
        waits_for: tuple[str, ...] = (),
    ) -> Running:
        attempt, carried = (1, {}) if kind is Kind.ROLLBACK else self._attempts(service.name, content_id)
        now = self._clock()
        state = RolloutState(
            id=f"{content_id}-{attempt}",
            content_id=content_id,
            attempt=attempt,
            kind=kind,
            service=service.name,
            plan=plan,
            stable=service.stable,
            candidate=candidate,
            previous=service.previous,
            slots=SlotNames(stable=service.slot, candidate=CANDIDATE_SLOT, following=service.free_slot),
            actor=actor,
            waits_for=waits_for,
            carried=carried,
            started_at=now,
            entered_at=now,
            looked_at=now,
            log_start=self._edge.end_of_log(),
        )
        body = {"state": to_json(state), "code": __version__}
        entry = chain(None, stream=state.stream, at=now, kind="started", actor=actor, body=body)
        if not self._store(entry, urgent=state.is_urgent):
            self._journal.append(entry)  # raises, and says why
        running = Running.begun(state, entry)
        self._running[state.id] = running
        return running

    def _attempts(self, service: str, content_id: str) -> tuple[int, dict[str, float]]:
        """Return the number of a new attempt, and the evidence against harm that the last one ended with."""
        heads = self._journal.heads(f"{STREAMS}{service}/{content_id}-")
        states = [from_json(head.data["state"], RolloutState) for head in heads]
        last = max(states, key=lambda state: state.attempt, default=None)
        if last is None:
            return 1, {}
        carried = {reading.guardrail: reading.safe_log_e for reading in last.readings if reading.safe_log_e is not None}
        return last.attempt + 1, carried or dict(last.carried)

    def _resume(self) -> None:
        """Take up what was on its way when the controller ended; raise where the journal can't be read yet."""
        if self._resumed:
            return
        for head in self._journal.heads(STREAMS):
            try:
                running = Running.restored(head)
            except msgspec.ValidationError as error:
                # Written by another version: nobody drives it any more, all traffic is on stable.
                log.error("rollouts.state_unreadable", extra={"stream": head.stream, "reason": str(error)})  # noqa: TRY400
                continue
            if not running.state.is_finished and running.state.id not in self._running:
                lines = self._read(running, {})
                running.tally.fold(lines, running.state.regimes)
                running.tally.close_window()
                self._running[running.state.id] = running
                state = running.state
                if state.service not in self._services:  # its file was lost; what it said is in the state too
                    known = Service(name=state.service, slot=state.slots.stable, stable=state.stable)
                    self._convergence.keep(replace(known, previous=state.previous, unit=state.plan.unit))
                log.info("rollouts.resumed", extra={"rollout": running.state.id, "phase": running.state.label})
        self._resumed = True

    # --- look-ups

    def _service(self, name: str) -> Service:
        if name not in self._services:
            known = ", ".join(sorted(self._services)) or "none"
            msg = f"no service {name!r} at this edge (there are: {known}); install a first release of it"
            raise RolloutNotFound(msg)
        return self._services[name]

    def _of(self, service: str) -> list[Running]:
        """Return a service's rollouts on their way, the oldest first."""
        return [running for running in self._running.values() if running.state.service == service]

    def _driving(self) -> dict[str, Running]:
        """Return the rollout that drives each service: the oldest that has not ended."""
        oldest: dict[str, Running] = {}
        for running in self._running.values():
            oldest.setdefault(running.state.service, running)
        return oldest

    @property
    def _services(self) -> dict[str, Service]:
        return self._convergence.services

    def _attachable(self, service: str, candidate: Release, plan: RolloutPlan) -> Running | None:
        """Return the rollout that does just this already and has not turned back; in its swap too."""
        found = (
            running
            for running in self._of(service)
            if running.state.candidate.digest == candidate.digest
            and running.state.plan == plan
            and not running.state.is_urgent
        )
        return next(found, None)

    def _entries(self, rollout_id: str) -> tuple[Entry, ...]:
        for head in self._journal.heads(STREAMS):
            if head.stream.endswith(f"/{rollout_id}"):
                return self._journal.read(head.stream)
        msg = f"no rollout {rollout_id!r} in the journal; 'slipway rollouts status' lists them"
        raise RolloutNotFound(msg)


def _content_id(service: str, kind: Kind, stable: Release | None, candidate: Release, plan: RolloutPlan) -> str:
    content = [service, kind, stable.digest if stable else "", candidate.digest, to_json(plan)]
    return f"{service}-{digest.short(digest.of_json(content))}"
