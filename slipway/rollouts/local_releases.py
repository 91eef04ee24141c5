"""The book of releases on one machine: a file under the home, and the alias in MLflow by its REST interface.

MLflow's own client takes seconds to import, which a controller that must be back within three cannot spend.
"""

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor

import httpx

from slipway.bentos import releases as files
from slipway.bentos.release import Release
from slipway.bentos.releases import ServiceReleases
from slipway.project import Project

log = logging.getLogger(__name__)

ALIAS = "champion"
TIMEOUT_S = 5.0
# A registry that refused or was away is asked again after this.
RETRY_S = 3.0


class LocalReleases:
    """Writes ``.slipway/releases/<service>.toml`` at once and moves the alias in a thread behind it."""

    def __init__(self, project: Project, tracking_uri: str) -> None:
        self._project = project
        self._client = httpx.Client(base_url=tracking_uri, timeout=TIMEOUT_S, trust_env=False)
        self._worker = ThreadPoolExecutor(1, "champion")
        self._names: dict[str, int] = {}
        self._moving: dict[str, tuple[int, Future[bool]]] = {}
        self._again_at_s = 0.0

    def close(self) -> None:
        self._worker.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def write(self, service: str, releases: ServiceReleases) -> None:
        files.save(self._project, service, releases)

    def champion_is(self, release: Release) -> bool:
        if self._names.get(release.model) == release.model_version:
            return True
        moving = self._moving.get(release.model)
        if moving is not None and not moving[1].done():
            return False
        if moving is not None:
            self._moving.pop(release.model)
            if moving[1].result():
                self._names[release.model] = moving[0]
                return moving[0] == release.model_version
            self._again_at_s = time.monotonic() + RETRY_S
        if time.monotonic() >= self._again_at_s:
            future = self._worker.submit(self._move, release)
            self._moving[release.model] = release.model_version, future
        return False

    def _move(self, release: Release) -> bool:
        body = {"name": release.model, "alias": ALIAS, "version": str(release.model_version)}
        try:
            self._client.post("/api/2.0/mlflow/registered-models/alias", json=body).raise_for_status()
        except httpx.HTTPError as error:
            log.warning("releases.alias_not_moved", extra={"release": release.name, "reason": str(error)})
            return False
        log.info("releases.champion", extra={"release": release.name})
        return True
