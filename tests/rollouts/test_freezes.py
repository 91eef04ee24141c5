"""Freezes outlive the controller, and stop what starts and advances but never what goes back."""

from datetime import UTC, datetime

import pytest
from served import Served
from world import QUICK, release

from slipway.rollouts.errors import NothingToRollOut
from slipway.rollouts.freezes import EVERY_SERVICE, Freeze, FreezeBook

ANN = Freeze(actor="ann", reason="black friday", at=datetime(2026, 11, 27, tzinfo=UTC))


def test_freezes_are_there_again_after_a_restart(tmp_path):
    file = tmp_path / "freezes.json"
    FreezeBook(file).put("churn", ANN)

    again = FreezeBook(file)
    assert (again.of("churn"), again.of("fraud")) == (ANN, None)
    again.lift("churn")
    assert FreezeBook(file).all() == {}


def test_a_freeze_of_every_service_covers_each():
    book = FreezeBook()
    book.put(EVERY_SERVICE, ANN)

    assert book.of("anything") == ANN
    assert ANN.words == "frozen by ann at 2026-11-27 00:00:00 UTC (black friday)"


def test_nothing_starts_in_a_frozen_service_and_the_answer_says_who_froze_it(served: Served):
    served.client.install("churn", release(1), actor="test")
    served.client.freeze("churn", actor="ann", reason="black friday")

    with pytest.raises(NothingToRollOut, match=r"churn is frozen by ann at .* \(black friday\): nothing starts"):
        served.client.start("churn", release(2), QUICK, actor="test")
    assert served.client.unfreeze("churn", actor="bob") == {}
    assert served.client.start("churn", release(2), QUICK, actor="test")["outcome"] is None


def test_a_running_rollout_freezes_and_still_goes_back(served: Served):
    served.client.install("churn", release(1), actor="test")
    rollout = served.client.start("churn", release(2), QUICK, waits_for=["load_test"], actor="test")["id"]
    served.client.freeze(actor="ann")
    served.client.pass_gate(rollout, gate="load_test", actor="test")
    assert served.client.rollout(rollout)["state"] == "FROZEN(PREPARING)"

    served.client.abort(rollout, reason="enough", actor="ann")

    assert served.client.wait(rollout, timeout_s=30)["outcome"] == "rolled_back"


def test_a_service_that_nobody_knows_is_not_frozen(served: Served):
    with pytest.raises(Exception, match="nobody"):
        served.client.freeze("nobody", actor="ann")
    assert served.client.freezes() == {}
