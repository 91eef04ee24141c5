"""A release as a program of the local stack: ``bentoml serve`` with one worker, on loopback."""

import sys
from pathlib import Path

from slipway.bentos.errors import ServiceUnreadable
from slipway.bentos.release import Release
from slipway.local import Program, Ready
from slipway.project import Project
from slipway.settings import RedisSettings

# Longer than an idle connection of the edge lives there (60 s): the side that sends requests must close first,
# or it sends one into a connection that is just being closed.
KEEP_ALIVE_S = 75
# What is under way at SIGTERM, after new connections have stopped: a request may take 2 s (see bento.py).
GRACE_S = 5


def program(release: Release, *, slot: str, port: int, project: Project) -> Program:
    """Return the program that serves ``release`` in a slot (``stable``, ``candidate``) on a loopback port.

    Each program has a BENTOML_HOME of its own: with a shared one the second to start wipes files of the first.
    The password of Redis goes by environment, never by command line.
    """
    name = f"{release.service}-{slot}"
    bento = project.home / release.bento
    if not (bento / "bento.yaml").is_file():
        msg = f"release {release.name}: {bento} is not a built Bento; run 'slipway ship {release.service}' again"
        raise ServiceUnreadable(msg)
    home = project.home / "programs" / name / "bentoml"
    home.mkdir(parents=True, exist_ok=True)
    redis = RedisSettings.load(project)
    bin_dir = Path(sys.executable).parent
    return Program(
        name=name,
        command=(
            str(bin_dir / "bentoml"),
            "serve",
            str(bento),
            "--host=127.0.0.1",
            f"--port={port}",
            f"--timeout-keep-alive={KEEP_ALIVE_S}",
            f"--timeout-graceful-shutdown={GRACE_S}",
        ),
        env={
            "BENTOML_HOME": str(home),
            "BENTOML_DO_NOT_TRACK": "true",
            # BentoML's supervisor then ends with its worker, as in a container, instead of starting another one
            # behind the back of ours, which counts restarts.
            "BENTOML_CONTAINERIZED": "1",
            "REDIS_HOST": redis.host,
            "REDIS_PORT": str(redis.port),
            "REDIS_PASSWORD": redis.password.get_secret_value(),
            "REDIS_DB": str(redis.database),
        },
        cwd=bento,
        ready=Ready(http=f"http://127.0.0.1:{port}/readyz"),
        stop_wait_s=GRACE_S + 5,
        start_timeout_s=30,
        url=f"http://127.0.0.1:{port}",
    )
