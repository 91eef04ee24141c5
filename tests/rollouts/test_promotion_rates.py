"""How often the default plan promotes what is good and takes back what is bad, at 100 requests a second.

Small seeded simulations of whole rollouts through the runner, with traffic as a busy machine with two cores makes it.
"""

import random
from bisect import bisect_right
from collections import Counter

import pytest
from world import START, Truth

from slipway.rollouts.state import Phase

RUNS = 20
SECONDS = 120


class BusyMachine:
    """Latencies of about 3 ms (log-normal), slower in busy spells that both arms share, and in pauses of one's own."""

    def __init__(self, seed: int, *, spells_every_s: float = 4, longer: float = 4, pauses_every_s: float = 10) -> None:
        self.rng = random.Random(seed)
        self.spells = self._spans(spells_every_s, lambda: self.rng.expovariate(1 / 0.7))
        self.factors = [1 + self.rng.expovariate(1 / longer) for _ in self.spells]
        self.pauses = {arm: self._spans(pauses_every_s, lambda: self.rng.uniform(0.02, 0.2)) for arm in "ab"}

    def _spans(self, every_s: float, length):
        spans, at_s = [], START.timestamp()
        while at_s < START.timestamp() + SECONDS:
            at_s += self.rng.expovariate(1 / every_s)
            spans.append((at_s, at_s + length()))
            at_s = spans[-1][1]
        return spans

    def latency(self, arm: str, *, factor: float = 1.0):
        def draw(rng: random.Random, at_s: float) -> float:
            ms = 3 * factor * rng.lognormvariate(0, 0.4)
            spell = bisect_right(self.spells, (at_s, at_s + SECONDS)) - 1
            if spell >= 0 and at_s < self.spells[spell][1]:
                ms *= self.factors[spell]
            pause = bisect_right(self.pauses[arm], (at_s, at_s + SECONDS)) - 1
            if pause >= 0 and at_s < self.pauses[arm][pause][1]:
                ms += 1000 * (self.pauses[arm][pause][1] - at_s)
            return ms

        return draw


def rolled_out(new_world, seed: int, *, candidate: float = 1.0, errors: float = 0.0, **machine):
    busy = BusyMachine(seed, **machine)
    truth = Truth(ms=busy.latency("a"), candidate_ms=busy.latency("b", factor=candidate), candidate_error_rate=errors)
    world = new_world(truth=truth, seed=seed)
    world.install()
    running = world.start()
    world.until_ended(running)
    return world, running


@pytest.mark.parametrize(
    "machine",
    [
        {"spells_every_s": 1e9, "pauses_every_s": 1e9},
        {},
        {"spells_every_s": 1, "longer": 10},
    ],
    ids=["quiet", "busy", "very busy"],
)
def test_good_candidate_is_promoted_in_19_of_20_rollouts(new_world, machine):
    ended = Counter(rolled_out(new_world, seed, **machine)[1].state.phase for seed in range(RUNS))
    assert ended[Phase.PROMOTED] >= 19
    assert ended[Phase.ROLLED_BACK] == 0


def test_promotion_fits_a_minute_and_a_quarter(new_world):
    _, running = rolled_out(new_world, 1)
    assert running.state.finished_at is not None
    assert (running.state.finished_at - running.state.started_at).total_seconds() <= 75


@pytest.mark.parametrize(
    ("bad", "within_s"),
    [({"errors": 0.3}, 10), ({"errors": 0.2}, 10), ({"candidate": 10.0}, 15)],
    ids=["30 % errors", "20 % errors", "10x slower"],
)
def test_bad_candidate_is_taken_back_within_seconds_and_150_requests(new_world, bad, within_s):
    seconds, requests = [], []
    for seed in range(RUNS):
        world, running = rolled_out(new_world, seed, **bad)
        assert running.state.phase is Phase.ROLLED_BACK
        assert running.seen.counts.user_failures == 0
        times = {entry.data["state"]["phase"]: entry.at for entry in reversed(world.runner.events(running.state.id))}
        seconds.append((times["ROLLING_BACK"] - times["CANARY"]).total_seconds())
        requests.append(running.seen.counts.candidate_requests)
    late = RUNS * 95 // 100 - 1
    assert sorted(seconds)[late] <= within_s
    assert sorted(requests)[late] <= 150


def test_candidate_twice_as_faulty_and_twice_as_slow_is_never_promoted(new_world):
    for seed in range(5):
        _, running = rolled_out(new_world, seed, candidate=3.0, errors=0.03)
        assert running.state.phase in {Phase.ROLLED_BACK, Phase.HELD}
