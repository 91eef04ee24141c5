"""Slots on one machine: each a Bento's process, kept by the stack's process manager."""

import http.client
import json
import logging
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, RLock, Thread

from slipway.bentos import golden, serve
from slipway.bentos.errors import GoldenUnreachable
from slipway.bentos.release import Release
from slipway.errors import SlipwayError
from slipway.local.processes import ProcessManager
from slipway.local.program import ProgramState
from slipway.models import bundle
from slipway.project import Project
from slipway.rollouts.codec import from_json, to_json
from slipway.rollouts.ports import SlotPhase, SlotStatus
from slipway.rollouts.routes import Address
from slipway.rollouts.services import replace_file

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
WATCH_S = 0.5
READY_TIMEOUT_S = 1.0
GOLDEN_WAIT_S = 1.0
LAUNCH_TIMEOUT_S = 90.0
# Divides the 64 of the reference: each bin holds an eighth of the hold-out rows.
SCORE_BINS = 8
BUNDLE = Path("src/bundle")  # where a built Bento holds what it serves
LOG_LINES = 5
DEATHS_AT_START = 3
GIVEN_UP = frozenset({ProgramState.FATAL, ProgramState.STOPPED, ProgramState.ABSENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Which release is in a slot, and on which port; kept on disk for the next controller."""

    service: str
    slot: str
    release: Release
    port: int

    @property
    def address(self) -> Address:
        return Address(host=HOST, port=self.port)

    @property
    def program(self) -> str:
        """Return the name of its program; the same as :func:`slipway.bentos.serve.program` gives it."""
        return f"{self.service}-{self.slot}"


@dataclass(slots=True, kw_only=True)
class _Slot:
    """One occupied slot: what its launch came to, and what was seen of it since."""

    tenant: Tenant
    worker: ThreadPoolExecutor
    launched: SlotStatus | None = None
    is_wanted: bool = False
    is_ending: bool = False
    unready: str | None = None
    restarts: int = 0

    def status(self) -> SlotStatus:
        address, restarts = self.tenant.address, self.restarts
        if self.launched is None:
            return SlotStatus(phase=SlotPhase.STARTING, address=address, restarts=restarts, words="it starts")
        if self.launched.phase is SlotPhase.READY and self.unready:
            return replace(
                self.launched, phase=SlotPhase.UNREADY, address=address, restarts=restarts, words=self.unready
            )
        seen = self.launched
        return replace(seen, address=address, restarts=restarts)


class LocalSlots:
    """Every call returns at once: a thread for each slot launches and ends processes, one more watches them all."""

    def __init__(self, project: Project, processes: ProcessManager) -> None:
        self._project, self._processes = project, processes
        self._file = project.home / "programs" / "slots.json"
        self._lock = RLock()
        self._slots = {tenant.program: _slot(tenant) for tenant in self._load()}
        self._closing = Event()
        self._watcher = Thread(target=self._watch, name="slots", daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """Stop watching; the processes go on."""
        self._closing.set()
        self._watcher.join()
        for slot in self._slots.values():
            slot.worker.shutdown(wait=True, cancel_futures=True)

    def start(self, service: str, slot: str, release: Release) -> None:
        key = f"{service}-{slot}"
        with self._lock:
            known = self._slots.get(key)
            same = known is not None and known.tenant.release.digest == release.digest
            if known is not None and same and known.is_wanted and not known.is_ending:
                return
            # A process that is still there from an earlier controller is kept, and asked again.
            port = known.tenant.port if known and same and self._runs(key) else free_port()
            tenant = Tenant(service=service, slot=slot, release=release, port=port)
            self._slots[key] = fresh = _slot(tenant, known.worker if known else None)
            fresh.is_wanted = True
            self._save()
            fresh.worker.submit(self._guarded, self._launch, fresh)

    def look(self, service: str, slot: str) -> SlotStatus:
        with self._lock:
            known = self._slots.get(f"{service}-{slot}")
            return known.status() if known else SlotStatus()

    def stop(self, service: str, slot: str) -> None:
        with self._lock:
            known = self._slots.get(f"{service}-{slot}")
            if known is not None and not known.is_ending:
                known.is_ending = True
                known.worker.submit(self._guarded, self._end, known)

    def occupied(self, service: str) -> frozenset[str]:
        with self._lock:
            return frozenset(slot.tenant.slot for slot in self._slots.values() if slot.tenant.service == service)

    # --- work, in a slot's own thread

    def _guarded(self, work: Callable[[_Slot], None], slot: _Slot) -> None:
        try:
            work(slot)
        except Exception:  # the thread's boundary: a slot that can't be handled is failed, never forgotten
            log.exception("slots.failed", extra={"slot": slot.tenant.program})
            slot.launched = SlotStatus(phase=SlotPhase.FAILED, words="an unexpected error; see the controller's log")

    def _launch(self, slot: _Slot) -> None:
        if slot.is_ending:
            return
        tenant = slot.tenant
        try:
            self._processes.add(
                serve.program(tenant.release, slot=tenant.slot, port=tenant.port, project=self._project)
            )
            slot.launched = self._ask_golden_rows(slot)
        except (SlipwayError, OSError) as error:
            slot.launched = SlotStatus(phase=SlotPhase.FAILED, words=str(error))
        log.info("slots.launched", extra={"slot": tenant.program, "phase": str(slot.status().phase)})

    def _ask_golden_rows(self, slot: _Slot) -> SlotStatus | None:
        """Ask until the process has answered its golden rows and is ready, or is given up."""
        tenant = slot.tenant
        manifest = bundle.load(self._project.home / tenant.release.bento / BUNDLE).manifest
        give_up, words = time.monotonic() + LAUNCH_TIMEOUT_S, "it was not asked"
        while time.monotonic() < give_up:
            if self._closing.is_set() or slot.is_ending:
                return None
            seen = self._processes.status_of(tenant.program)
            deaths = max(seen.restarts, seen.failed_starts)
            if seen.state in GIVEN_UP or deaths >= DEATHS_AT_START:
                words = f"its process is {seen.state} and has died {deaths} times; {self._log(tenant)}"
                return SlotStatus(phase=SlotPhase.FAILED, words=words)
            try:
                result = golden.check(f"http://{tenant.address}", manifest, timeout_s=GOLDEN_WAIT_S)
            except GoldenUnreachable as error:
                words = str(error)
                continue
            if not result.passed:
                return SlotStatus(phase=SlotPhase.UNREADY, golden=False, words=result.words)
            why = why_unready(tenant.address)
            if why is None:
                edges, shares = manifest.reference_scores.bins(SCORE_BINS)
                return SlotStatus(
                    phase=SlotPhase.READY, golden=True, words=result.words, score_edges=edges, score_shares=shares
                )
            words = why
            self._closing.wait(WATCH_S / 5)
        return SlotStatus(phase=SlotPhase.FAILED, words=f"{words}; {self._log(tenant)}")

    def _end(self, slot: _Slot) -> None:
        name = slot.tenant.program
        # Stopping takes as long as requests need to drain; removing then is quick, and holds up nobody.
        for end in (self._processes.stop, self._processes.remove):
            try:
                end(name)
            except SlipwayError as error:
                log.info("slots.stop", extra={"slot": name, "reason": str(error)})
        with self._lock:
            if self._slots.get(name) is slot:
                del self._slots[name]
                self._save()
                slot.worker.shutdown(wait=False)

    # --- watching

    def _watch(self) -> None:
        while not self._closing.wait(WATCH_S):
            with self._lock:
                watched = [slot for slot in self._slots.values() if not slot.is_ending]
            try:
                restarts = {status.name: status.restarts for status in self._processes.status()} if watched else {}
            except SlipwayError as error:
                log.warning("slots.not_watched", extra={"reason": str(error)})
                continue
            for slot in watched:
                slot.restarts = restarts.get(slot.tenant.program, slot.restarts)
                if slot.launched is not None and slot.launched.phase is SlotPhase.READY:
                    slot.unready = why_unready(slot.tenant.address)

    # --- small things

    def _runs(self, name: str) -> bool:
        try:
            return self._processes.status_of(name).pid is not None
        except SlipwayError:
            return False

    def _log(self, tenant: Tenant) -> str:
        try:
            return f"the last lines of its log:\n{self._processes.tail(tenant.program, LOG_LINES)}"
        except SlipwayError:
            return "it has no log"

    def _load(self) -> list[Tenant]:
        if not self._file.is_file():
            return []
        return from_json(json.loads(self._file.read_text(encoding="utf-8")), list[Tenant])

    def _save(self) -> None:
        tenants = [slot.tenant for slot in self._slots.values()]
        replace_file(self._file, json.dumps(to_json(tenants), indent=1))


def _slot(tenant: Tenant, worker: ThreadPoolExecutor | None = None) -> _Slot:
    return _Slot(tenant=tenant, worker=worker or ThreadPoolExecutor(1, tenant.program))


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def why_unready(address: Address) -> str | None:
    """Ask a process whether it is ready; return why it is not."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=READY_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"GET http://{address}/readyz: {error or type(error).__name__}"
    finally:
        connection.close()
    return None if status == http.HTTPStatus.OK else f"GET http://{address}/readyz answered {status}"
