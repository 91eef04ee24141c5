import subprocess
import sys

import pytest

from slipway.pipeline.errors import AlreadyShipping
from slipway.pipeline.lock import shipping

HOLD = r"""
import pathlib, sys
from slipway.pipeline.lock import shipping
with shipping(pathlib.Path(sys.argv[1])):
    sys.stdout.write("held\n")
    sys.stdout.flush()
    sys.stdin.read()
"""


def test_second_ship_is_refused_by_pid_when_one_runs_and_let_in_when_it_was_killed(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AlreadyShipping, match=f'"pid": {holder.pid}'), shipping(tmp_path):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with shipping(tmp_path):
        pass
