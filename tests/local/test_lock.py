"""One at a time."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from slipway.local.errors import StackBusy
from slipway.local.lock import locked


def test_the_second_waits_for_the_first_and_says_so_once(tmp_path: Path) -> None:
    path, words, order = tmp_path / "lock", [], []
    entered = threading.Event()

    def second() -> None:
        with locked(path, timeout_s=10, on_wait=words.append):
            order.append("second")

    with locked(path, timeout_s=1):
        waiter = threading.Thread(target=second)
        waiter.start()
        entered.wait(0.3)
        order.append("first")
    waiter.join()
    assert order == ["first", "second"]
    assert words == [f"process {os.getpid()} is changing the stack; waiting for it"]


def test_the_holder_is_named_when_it_takes_too_long(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        locked(path, timeout_s=1),
        pytest.raises(StackBusy, match=rf"held by process {os.getpid()} for more than 0 s"),
        locked(path, timeout_s=0.1),
    ):
        pass


def test_the_lock_is_free_again_when_its_holder_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys,time; from pathlib import Path; from slipway.local.lock import locked\n"
        "with locked(Path(sys.argv[1]),timeout_s=1): print('held',flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StackBusy), locked(path, timeout_s=0.1):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    started = time.monotonic()
    with locked(path, timeout_s=5):
        assert time.monotonic() - started < 4
