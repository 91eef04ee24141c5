"""Slots as real Bento processes under the real process manager."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import psutil
import pytest
from envoys import wait_until

from slipway.bentos.sabotage import Sabotage
from slipway.local.processes import ProcessManager
from slipway.project import Project
from slipway.rollouts.local_slots import LocalSlots
from slipway.rollouts.ports import SlotPhase


@pytest.fixture(scope="module")
def project(live) -> Project:
    return live[0]


@pytest.fixture(scope="module")
def processes(project: Project) -> ProcessManager:
    return ProcessManager(project.home)


@pytest.fixture
def slots(project: Project, processes: ProcessManager) -> Iterator[LocalSlots]:
    with closing(LocalSlots(project, processes)) as made:
        yield made
        for slot in made.occupied("accounts"):
            made.stop("accounts", slot)
        wait_until(lambda: not made.occupied("accounts"), timeout_s=30)


def phase(slots: LocalSlots, slot: str = "candidate") -> SlotPhase:
    return slots.look("accounts", slot).phase


def test_process_starts_answers_its_golden_rows_survives_its_controller_and_ends(
    slots: LocalSlots, project: Project, processes: ProcessManager, new_release
):
    release = new_release(project, 7)
    assert phase(slots) is SlotPhase.ABSENT
    slots.start("accounts", "candidate", release)
    assert phase(slots) is SlotPhase.STARTING
    assert slots.occupied("accounts") == {"candidate"}
    wait_until(lambda: phase(slots) is SlotPhase.READY, timeout_s=40)
    status = slots.look("accounts", "candidate")
    assert (status.golden, status.restarts) == (True, 0)
    assert "golden rows score as at registration" in status.words
    assert httpx.get(f"http://{status.address}/readyz").status_code == 200
    pid = processes.status_of("accounts-candidate").pid

    with closing(LocalSlots(project, processes)) as following:
        assert following.look("accounts", "candidate").address == status.address
        following.start("accounts", "candidate", release)
        wait_until(lambda: phase(following) is SlotPhase.READY, timeout_s=10)
        assert processes.status_of("accounts-candidate").pid == pid
        assert following.look("accounts", "candidate").address == status.address

    worker = psutil.Process(pid).children(recursive=True)[0]
    worker.kill()
    wait_until(lambda: phase(slots) is SlotPhase.UNREADY, timeout_s=10)
    assert "/readyz" in slots.look("accounts", "candidate").words
    wait_until(lambda: slots.look("accounts", "candidate").restarts == 1, timeout_s=10)
    wait_until(lambda: phase(slots) is SlotPhase.READY, timeout_s=40)

    slots.stop("accounts", "candidate")
    wait_until(lambda: phase(slots) is SlotPhase.ABSENT, timeout_s=30)
    assert slots.occupied("accounts") == frozenset()
    assert processes.status_of("accounts-candidate").pid is None


def test_wrong_model_is_seen_by_its_golden_rows(slots: LocalSlots, project: Project, new_release):
    slots.start("accounts", "candidate", new_release(project, 8, sabotage=Sabotage.QUALITY))
    wait_until(lambda: slots.look("accounts", "candidate").golden is False, timeout_s=40)
    status = slots.look("accounts", "candidate")
    assert status.phase is SlotPhase.UNREADY
    assert "apart, allowed are" in status.words


def test_release_that_is_not_there_is_a_failed_slot_with_the_reason(slots: LocalSlots, project: Project, new_release):
    from dataclasses import replace  # noqa: PLC0415  needed here alone

    gone = replace(new_release(project, 7), digest="sha256:0", bento="bentoml/bentos/accounts/gone")
    slots.start("accounts", "candidate", gone)
    wait_until(lambda: phase(slots) is SlotPhase.FAILED)
    assert "is not a built Bento" in slots.look("accounts", "candidate").words


def test_process_that_ends_at_its_start_is_a_failed_slot_with_its_log(slots: LocalSlots, project: Project, new_release):
    import shutil  # noqa: PLC0415  needed here alone
    from dataclasses import replace  # noqa: PLC0415  needed here alone

    release = new_release(project, 7)
    broken = project.home / "bentoml" / "bentos" / "accounts" / "broken"
    if not broken.exists():
        shutil.copytree(project.home / release.bento, broken)
        (broken / "src" / "service.py").write_text("raise SystemExit('nothing here')\n")
    slots.start(
        "accounts", "candidate", replace(release, digest="sha256:1", bento=str(Path("bentoml/bentos/accounts/broken")))
    )
    wait_until(lambda: phase(slots) is SlotPhase.FAILED, timeout_s=40)
    assert "the last lines of its log" in slots.look("accounts", "candidate").words
