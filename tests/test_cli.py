"""The command line as a process: errors that a user can act on are one message."""

import subprocess
import sys
from pathlib import Path

import pytest

SLIPWAY = Path(sys.executable).with_name("slipway")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, the device that is always full")
def test_full_disk_is_one_message_in_any_command():
    done = subprocess.run([SLIPWAY, "features", "synthesize", "/dev/full"], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "no space left on the disk" in done.stderr
    assert "Traceback" not in done.stderr
