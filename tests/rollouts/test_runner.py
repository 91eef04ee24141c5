"""The runner over in-memory adapters: whole rollouts, crashes between any two acts, a journal that goes away."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from world import QUICK, ROUTE, Truth, World, phases, release

from slipway.monitoring.journal import Entry, JournalBroken, JournalConflict, JournalUnavailable
from slipway.rollouts.errors import NothingToRollOut, RolloutNotFound
from slipway.rollouts.observation import Order
from slipway.rollouts.ports import SlotPhase, SlotStatus
from slipway.rollouts.replay import first_difference
from slipway.rollouts.state import Phase

LADDER = ["PENDING", "PREPARING", "SHADOW", "CANARY[0]", "CANARY[1]", "SOAKING", "SWAPPING", "PROMOTED"]


@pytest.fixture
def world(new_world) -> World:
    made = new_world()
    made.install()
    return made


def test_good_candidate_climbs_the_whole_ladder_and_is_promoted(world: World):
    running = world.start(plan=QUICK)
    world.until_ended(running)
    assert list(phases(world, running)) == LADDER
    service, _ = world.runner.service("churn")
    assert (service.stable, service.previous, service.slot) == (release(2), release(1), "stable-b")
    assert world.releases.champions == {"churn": 2}
    written = world.releases.written["churn"]
    assert (written.stable, written.candidate, written.previous) == (release(2), None, release(1))
    assert world.slots.occupied("churn") == {"stable-b"}
    assert world.edge.weight("churn") == 0


def test_release_file_names_the_candidate_while_it_is_on_its_way(world: World):
    running = world.start(plan=QUICK)
    world.until_phase(running, Phase.CANARY)
    written = world.releases.written["churn"]
    assert (written.stable, written.candidate) == (release(1), release(2))


@pytest.mark.parametrize(
    ("truth", "guardrails"),
    [
        (Truth(candidate_error_rate=0.3), {"errors", "first_requests"}),
        (Truth(candidate_error_rate=1.0), {"errors", "first_requests"}),
        (Truth(candidate_ms=lambda rng, _at_s: 10 * rng.lognormvariate(1.1, 0.4)), {"p95"}),
    ],
)
def test_bad_candidate_is_taken_back_within_seconds_of_the_first_step(world: World, truth, guardrails):
    world.truth = truth
    running = world.start()
    world.until_phase(running, Phase.CANARY)
    assert world.until_phase(running, Phase.ROLLING_BACK) <= 10
    assert world.edge.weight("churn") == 0
    world.until_ended(running)
    assert running.state.phase is Phase.ROLLED_BACK
    assert running.state.decided_by in guardrails
    assert world.runner.service("churn")[0].stable == release(1)
    assert world.releases.champions == {"churn": 1}
    assert world.slots.occupied("churn") == {"stable-a"}


def test_wrong_model_is_rejected_before_any_traffic(world: World):
    world.slots.statuses["candidate"] = SlotStatus(phase=SlotPhase.UNREADY, golden=False, words="row 3 differs")
    running = world.start()
    world.until_ended(running)
    assert (running.state.phase, running.state.decided_by, running.state.reason) == (
        Phase.REJECTED,
        "golden_rows",
        "row 3 differs",
    )
    assert running.seen.counts.candidate_requests == 0
    assert "candidate" not in world.slots.occupied("churn")


def test_rollout_waits_for_its_load_test_and_ends_when_nobody_comes(world: World):
    running = world.start(waits_for=("load_test",))
    world.truth = Truth(rps=1)
    assert world.until_ended(running, at_most_s=700) >= 600
    assert (running.state.phase, running.state.decided_by) == (Phase.FAILED, "timeout")
    assert "candidate" not in world.slots.occupied("churn")


def test_abort_acts_at_once(world: World):
    running = world.start(plan=QUICK)
    world.until_phase(running, Phase.CANARY)
    world.command(running, Order.ABORT, reason="looks odd")
    assert world.edge.weight("churn") == 0
    assert running.state.reason == "aborted by test: looks odd"
    world.until_ended(running)
    assert running.state.phase is Phase.ROLLED_BACK


def test_starting_twice_attaches_and_a_new_attempt_follows_an_ended_one(world: World):
    first = world.start(plan=QUICK)
    assert world.start(plan=QUICK) is first
    world.command(first, Order.ABORT)
    world.until_ended(first)
    second = world.start(plan=QUICK)
    assert (second.state.attempt, second.state.content_id) == (2, first.state.content_id)
    assert second.state.salt != first.state.salt


def test_evidence_of_earlier_attempts_is_carried_on(world: World):
    first = world.start()
    world.until(lambda: first.state.step_index == 1)
    world.second()
    world.command(first, Order.ABORT)
    world.until_ended(first)
    ended_with = {one.guardrail: one.safe_log_e for one in first.state.readings if one.safe_log_e is not None}
    second = world.start()
    assert second.state.carried == ended_with
    world.until_phase(second, Phase.SHADOW)
    world.second()
    assert second.state.readings[0].safe_log_e == pytest.approx(ended_with["errors"])


def test_another_candidate_supersedes_the_one_on_its_way_by_rollback_first(world: World):
    old = world.start(2, plan=QUICK)
    world.until_phase(old, Phase.CANARY)
    new = world.start(3, plan=QUICK)
    world.second()
    assert (old.state.phase, new.state.phase) == (Phase.ROLLING_BACK, Phase.PENDING)
    world.until_ended(new)
    assert (old.state.phase, new.state.phase) == (Phase.SUPERSEDED, Phase.PROMOTED)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda world: world.start(1), "already: nothing to roll out"),
        (lambda world: world.runner.install("churn", release(2), route=ROUTE, actor="x"), "has a stable release"),
        (lambda world: world.runner.rollback("churn", to_version=None, actor="x"), "no previous release to go back to"),
        (lambda world: world.runner.rollback("churn", to_version=9, actor="x"), "no earlier release of version 9"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(world: World, ask, words):
    with pytest.raises(NothingToRollOut, match=words):
        ask(world)


def test_unknown_names_are_refused_with_those_that_exist(world: World):
    with pytest.raises(RolloutNotFound, match=r"no service 'fraud' at this edge \(there are: churn\)"):
        world.runner.service("fraud")
    with pytest.raises(RolloutNotFound, match="no rollout 'x-1'"):
        world.runner.rollout("x-1")


def test_installing_the_stable_release_again_changes_nothing(world: World):
    assert world.runner.install("churn", release(1), route=ROUTE, actor="x") is None


def test_install_that_does_not_start_leaves_no_stable_release(new_world):
    world = new_world()
    world.slots.statuses["stable-a"] = SlotStatus(phase=SlotPhase.FAILED, words="port taken")
    running = world.runner.install("churn", release(1), route=ROUTE, actor="x")
    world.until_ended(running)
    assert (running.state.phase, running.state.reason) == (
        Phase.FAILED,
        "churn v1 (000000000000) can't start: port taken",
    )
    assert world.runner.service("churn")[0].stable is None
    assert world.slots.occupied("churn") == frozenset()


def test_start_is_refused_when_nothing_is_stable(new_world):
    with pytest.raises(RolloutNotFound, match="install a first release"):
        new_world().start()


def test_promoted_release_is_taken_back_and_not_offered_again(world: World):
    world.until_ended(world.start(plan=QUICK))
    running = world.runner.rollback("churn", to_version=None, actor="on call")
    world.until_ended(running)
    service, _ = world.runner.service("churn")
    assert (running.state.phase, service.stable, service.previous) == (Phase.PROMOTED, release(1), None)
    assert world.releases.champions == {"churn": 1}
    assert world.slots.occupied("churn") == {service.slot}
    again = world.runner.rollback("churn", to_version=2, actor="on call")
    world.until_ended(again)
    assert world.runner.service("churn")[0].stable == release(2)


def test_rollback_during_a_rollout_ends_the_rollout(world: World):
    running = world.start(plan=QUICK)
    world.until_phase(running, Phase.CANARY)
    assert world.runner.rollback("churn", to_version=None, actor="on call") is running
    world.until_ended(running)
    assert world.runner.service("churn")[0].stable == release(1)


# --- crashes


def test_killed_controller_resumes_with_the_same_state_and_counts_after_any_look(new_world):
    for kill_after in range(1, 19):
        world = new_world(seed=kill_after)
        world.install()
        running = world.start(plan=QUICK)
        for _ in range(kill_after):
            world.second()
        before = running.state, running.seen.counts
        world.restart()
        world.runner._resume()
        resumed = world.runner.rollout(running.state.id)
        assert (resumed.state, resumed.seen.counts) == before
        if not resumed.state.is_finished:
            assert resumed.tally.counts() == before[1]
        world.until_ended(resumed)
        assert resumed.state.phase is Phase.PROMOTED
        assert first_difference(world.runner.events(resumed.state.id)) is None


def test_requests_between_death_and_resumption_are_totals_but_no_evidence(world: World):
    running = world.start(plan=QUICK)
    world.until(lambda: running.state.step_index == 1)
    world.second()
    trials = running.seen.counts.strata[-1].trials
    for _ in range(6):
        world.second(look=False)  # dead: after three seconds the weights have expired
    assert world.edge.weight("churn") == 0
    world.restart()
    world.runner.look()
    resumed = world.runner.rollout(running.state.id)
    assert resumed.seen.counts.strata[-1].trials == trials
    assert resumed.seen.counts.requests == running.seen.counts.requests + 6 * world.truth.rps
    world.until_ended(resumed)
    assert resumed.state.phase is Phase.PROMOTED
    assert resumed.seen.counts.misrouted == 0


class Killed(Exception):
    """The controller's end."""


class Executioner:
    """Counts the moments before and after each call of some methods, and ends the program at one of them."""

    def __init__(self, kill_at: int) -> None:
        self.kill_at, self.moments = kill_at, 0

    def moment(self) -> None:
        self.moments += 1
        if self.moments == self.kill_at:
            raise Killed

    def watch(self, target: object, *names: str) -> None:
        for name in names:
            setattr(target, name, self._watched(getattr(target, name)))

    def _watched(self, real):
        def call(*arguments, **named):
            self.moment()
            result = real(*arguments, **named)
            self.moment()
            return result

        return call


def ship(world: World) -> None:
    """What a client does, from wherever things stand: install, start, wait."""
    world.runner.look()
    service = world.runner.services().get("churn")
    if service is None or service.stable is None:
        world.runner.install("churn", release(1), route=ROUTE, actor="test")
    world.until(lambda: not world.runner._running)
    if world.runner.service("churn")[0].stable != release(2):
        world.until_ended(world.start(plan=QUICK))


def shipped(world: World, kill_at: int) -> Executioner:
    executioner = Executioner(kill_at)
    executioner.watch(world.edge, "route", "split")
    executioner.watch(world.slots, "start", "stop")
    executioner.watch(world.releases, "write")
    executioner.watch(world.book, "save")
    executioner.watch(world.journal, "append")
    try:
        ship(world)
    except Killed:
        world.restart()
        ship(world)
    return executioner


def test_killed_at_any_single_act_it_ends_as_if_nothing_had_happened(new_world):
    """Before and after calls to the edge, the slots, the releases, the book and the journal; every 11th of them all."""
    moments = shipped(new_world(seed=3), kill_at=0).moments
    assert moments > 200
    for kill_at in range(1, moments, 11):
        world = new_world(seed=3)
        shipped(world, kill_at)
        world.second()
        service = world.runner.service("churn")[0]
        assert (service.stable, service.previous, service.slot) == (release(2), release(1), "stable-b"), kill_at
        assert world.slots.occupied("churn") == {"stable-b"}
        for head in world.journal.heads("rollout/"):
            assert first_difference(world.journal.read(head.stream)) is None


def test_rollout_goes_on_when_the_services_file_was_lost(world: World):
    running = world.start(plan=QUICK)
    world.until_phase(running, Phase.CANARY)
    world.book.services.clear()
    world.restart()
    world.second()
    resumed = world.runner.rollout(running.state.id)
    world.until_ended(resumed)
    assert resumed.state.phase is Phase.PROMOTED
    assert world.runner.service("churn")[0].previous == release(1)


# --- a journal that is away


def test_nothing_advances_and_traffic_returns_to_stable_while_the_journal_is_away(world: World):
    running = world.start(plan=QUICK)
    world.until(lambda: running.state.step_index == 1)
    state = running.state
    world.journal.available = False
    for _ in range(30):
        world.second()
    assert running.state == state
    assert world.edge.weight("churn") == 0
    world.journal.available = True
    world.second()
    assert world.edge.weight("churn") == 5000
    world.until_ended(running)
    assert running.state.phase is Phase.PROMOTED
    assert first_difference(world.runner.events(running.state.id)) is None


def test_weights_stay_when_the_journal_is_away_for_a_moment(world: World):
    running = world.start(plan=QUICK)
    world.until(lambda: running.state.step_index == 1)
    world.journal.available = False
    world.second()
    world.second()
    assert world.edge.weight("churn") == 5000


def test_bad_candidate_is_taken_back_while_the_journal_is_away_and_written_down_later(world: World):
    running = world.start()
    world.until_phase(running, Phase.CANARY)
    world.truth = Truth(candidate_error_rate=1.0)
    world.journal.available = False
    world.until_ended(running)
    assert running.state.phase is Phase.ROLLED_BACK
    assert json.loads(world.spool.read_text().splitlines()[-1])["stream"] == running.state.stream
    world.journal.available = True
    world.second()
    assert not world.spool.exists()
    events = world.runner.events(running.state.id)
    assert events[-1].data["state"]["phase"] == "ROLLED_BACK"
    assert first_difference(events) is None


def test_candidate_is_out_of_the_traffic_before_its_rollback_is_written_down(world: World):
    running = world.start()
    world.until_phase(running, Phase.CANARY)
    world.truth = Truth(candidate_error_rate=1.0)
    append, weights = world.journal.append, []

    def slow(entry: Entry) -> None:
        if entry.data["state"]["phase"] == "ROLLING_BACK":
            weights.append(world.edge.weight("churn"))
        append(entry)

    world.journal.append = slow
    world.until_phase(running, Phase.ROLLING_BACK)
    assert weights == [0]


def test_promoted_release_is_taken_back_while_the_journal_is_away(world: World):
    world.until_ended(world.start(plan=QUICK))
    world.journal.available = False
    running = world.runner.rollback("churn", to_version=None, actor="on call")
    world.until_ended(running)
    assert world.runner.service("churn")[0].stable == release(1)


def test_start_is_refused_while_the_journal_is_away(world: World):
    world.journal.available = False
    with pytest.raises(JournalUnavailable):
        world.start()


def test_stable_is_served_by_a_controller_that_starts_while_the_journal_is_away(world: World):
    world.journal.available = False
    world.slots.running.clear()
    world.restart()
    world.second()
    assert world.slots.occupied("churn") == {"stable-a"}
    assert world.edge.routes["churn"].stable is not None
    world.journal.available = True
    assert world.start().state.phase is Phase.PENDING


def test_controller_that_finds_anothers_event_stops_acting(world: World):
    running = world.start(plan=QUICK)
    world.second()
    theirs = World(spool=world.spool.with_name("other"), now=world.now)
    theirs.journal, theirs.book, theirs.slots = world.journal, world.book, world.slots
    theirs.restart()
    theirs.now = world.now + timedelta(seconds=1)
    theirs.runner.look()
    with pytest.raises(JournalConflict, match="another controller runs on this database"):
        world.second()
    assert running.state.phase is Phase.PREPARING


# --- an edge that is away, evidence that is missing


def test_candidate_goes_back_to_nothing_when_there_are_no_requests(world: World):
    running = world.start(plan=QUICK)
    world.until_phase(running, Phase.CANARY)
    for _ in range(12):
        world.second(traffic=False)
    assert (running.state.phase, running.state.decided_by) == (Phase.HELD, "blind")


def test_rollout_does_not_advance_while_the_edge_does_not_listen(world: World):
    running = world.start(plan=QUICK)
    world.until(lambda: running.state.step_index == 1)
    world.edge.listening = False
    for _ in range(14):
        world.second()
    assert (running.state.phase, running.state.decided_by) == (Phase.HELD, "blind")


def test_process_is_not_stopped_before_the_edge_has_left_it(world: World):
    running = world.start(plan=QUICK)
    world.until_phase(running, Phase.CANARY)
    world.edge.listening = False
    world.command(running, Order.ABORT)
    world.until_ended(running)
    world.second()
    assert world.slots.occupied("churn") == {"stable-a", "candidate"}
    world.edge.listening = True
    world.second()
    assert world.slots.occupied("churn") == {"stable-a"}


def test_registry_that_was_away_gets_the_alias_later(world: World):
    world.releases.registry_answers = False
    world.until_ended(world.start(plan=QUICK))
    service, _ = world.runner.service("churn")
    assert (service.stable, service.champion_due) == (release(2), True)
    world.restart()
    world.releases.registry_answers = True
    world.second()
    assert world.releases.champions == {"churn": 2}
    assert not world.runner.service("churn")[0].champion_due


# --- replay


def test_replay_names_the_event_that_was_changed_by_hand(world: World):
    running = world.start(plan=QUICK)
    world.until_ended(running)
    events = list(world.runner.events(running.state.id))
    assert first_difference(events) is None
    body = events[5].data
    body["observation"]["counts"]["user_failures"] = 0
    body["reasons"] = ["all was well"]
    events[5] = replace(events[5], body=json.dumps(body))
    with pytest.raises(JournalBroken, match="entry 5"):
        first_difference(events)


def test_replay_names_the_first_decision_that_would_differ(world: World):
    running = world.start(plan=QUICK)
    world.until_ended(running)
    events = world.runner.events(running.state.id)
    index = next(number for number, entry in enumerate(events) if entry.data["state"]["phase"] == "SOAKING")
    difference = first_difference(_rewritten(events, index))
    assert difference is not None
    assert difference.startswith(f"event {index} ")


def _rewritten(events: tuple[Entry, ...], index: int) -> list[Entry]:
    """The same journal as if this code had promoted a look too early, with a chain that fits."""
    from slipway.monitoring.journal import chain  # noqa: PLC0415  needed here alone

    made: list[Entry] = []
    for number, entry in enumerate(events):
        body = entry.data
        if number == index:
            for stratum in body["observation"]["counts"]["strata"]:
                stratum["trials"]["candidate"] = 3
        after = made[-1] if made else None
        made.append(chain(after, stream=entry.stream, at=entry.at, kind=entry.kind, actor=entry.actor, body=body))
    return made
