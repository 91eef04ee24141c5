"""Which ports a stack takes, and that it keeps them."""

import socket
import threading
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.local.errors import DataUnreadable
from slipway.local.port_book import PortBook
from slipway.local.ports import WELL_KNOWN, candidates, choose, is_free


@given(st.sampled_from([*WELL_KNOWN, "churn_stable"]), st.text(), st.sets(st.integers(0, 9)))
def test_choose_takes_a_free_port_that_no_other_name_has(name: str, home: str, positions: set[int]) -> None:
    first = list(islice(candidates(name, home=Path(home)), 10))
    taken = {first[position] for position in positions}
    port = choose(name, home=Path(home), taken=taken, is_free=lambda port: port % 2 == 0)
    assert port not in taken
    assert port % 2 == 0
    assert port == WELL_KNOWN.get(name) or 20_000 <= port < 30_000


def test_two_homes_begin_at_different_ports() -> None:
    first, second = (list(islice(candidates("redis", home=Path(home)), 2)) for home in ("/a", "/b"))
    assert first[0] == second[0] == WELL_KNOWN["redis"]
    assert first[1] != second[1]


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104  the point: such a server takes the port
def test_a_port_is_not_free_while_a_server_listens(address: str) -> None:
    with socket.create_server((address, 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_a_port_is_free_when_only_old_connections_linger() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first is the one that lingers
        client.close()
    assert is_free(port)


def test_a_port_is_chosen_once_and_kept(tmp_path: Path) -> None:
    port = PortBook(tmp_path).port("churn_stable")
    assert PortBook(tmp_path).port("churn_stable") == port
    assert PortBook(tmp_path).name_of(port) == "churn_stable"
    assert PortBook(tmp_path).name_of(1) is None


def test_two_names_get_two_ports_when_chosen_at_once(tmp_path: Path) -> None:
    names = [f"slot-{number}" for number in range(20)]
    threads = [threading.Thread(target=PortBook(tmp_path).port, args=(name,)) for name in names for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ports = PortBook(tmp_path).all()
    assert set(ports) == set(names)
    assert len(set(ports.values())) == len(names)


def test_settle_changes_only_ports_that_strangers_have(tmp_path: Path) -> None:
    book = PortBook(tmp_path)
    before = {name: book.port(name) for name in ("free", "own", "stranger", "left")}
    sockets = [socket.create_server(("127.0.0.1", before[name])) for name in ("own", "stranger", "left")]
    changed = book.settle(held=lambda: {before["own"]}, leave={"left"})
    for server in sockets:
        server.close()
    assert changed == {"stranger": (before["stranger"], book.port("stranger"))}
    assert {name: book.port(name) for name in ("free", "own", "left")} == {
        name: before[name] for name in ("free", "own", "left")
    }


def test_settle_asks_nobody_when_all_ports_are_free(tmp_path: Path) -> None:
    book = PortBook(tmp_path)
    book.port("a")

    def held() -> set[int]:
        raise AssertionError

    assert book.settle(held=held) == {}


def test_a_broken_book_is_named(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text('{"ports": {"redis": "?"}}')
    with pytest.raises(DataUnreadable, match=r"stack\.json is damaged \(ports.redis: .*remove it"):
        PortBook(tmp_path).port("redis")
