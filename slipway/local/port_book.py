"""The ports of one stack, chosen once and kept in ``stack.json``."""

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from slipway.local.errors import DataUnreadable
from slipway.local.files import write_private
from slipway.local.lock import locked
from slipway.local.ports import choose, is_free

_LOCK_TIMEOUT_S = 10


class _Book(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ports: dict[str, int] = {}


class PortBook:
    """Safe to use from several processes at once."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._path = home / "stack.json"

    def port(self, name: str) -> int:
        """Return the port of a name, choosing a free one the first time."""
        known = self.all()
        if name in known:
            return known[name]
        with self._locked():
            known = self.all()  # another command may have chosen it meanwhile
            return known[name] if name in known else self._choose(name, known)

    def all(self) -> Mapping[str, int]:
        """Return every port that was chosen so far."""
        try:
            return _Book.model_validate_json(self._path.read_bytes()).ports
        except FileNotFoundError:
            return {}
        except ValidationError as error:
            [first, *_] = error.errors()
            where = ".".join(map(str, first["loc"]))
            msg = (
                f"{self._path} is damaged ({where or 'all of it'}: {first['msg']}); "
                "run 'slipway down', then remove it: ports are chosen anew"
            )
            raise DataUnreadable(msg) from None

    def name_of(self, port: int) -> str | None:
        """Return the name that has a port."""
        return next((name for name, known in self.all().items() if known == port), None)

    def choose_anew(self, name: str) -> int:
        """Choose another port for a name whose port a stranger has."""
        with self._locked():
            return self._choose(name, self.all())

    def settle(self, *, held: Callable[[], Collection[int]], leave: Collection[str] = ()) -> dict[str, tuple[int, int]]:
        """Choose another port wherever a stranger took one meanwhile; return the old and the new one of each name.

        ``held`` says which ports the stack's own programs listen on; names in ``leave`` are not looked at.
        """
        busy = {name: port for name, port in self.all().items() if name not in leave and not is_free(port)}
        if not busy:
            return {}
        own = held()
        return {name: (port, self.choose_anew(name)) for name, port in busy.items() if port not in own}

    def _choose(self, name: str, known: Mapping[str, int]) -> int:
        port = choose(name, home=self._home, taken=known.values(), is_free=is_free)
        write_private(self._path, _Book(ports={**known, name: port}).model_dump_json(indent=2) + "\n")
        return port

    def _locked(self) -> AbstractContextManager[None]:
        return locked(self._home / "stack.lock", timeout_s=_LOCK_TIMEOUT_S)
