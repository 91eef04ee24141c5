"""The edge and the controller as programs, and what the edge is told."""

from pathlib import Path

import pytest
import yaml

from slipway.project import Project
from slipway.rollouts import envoy
from slipway.rollouts.errors import EdgeUnavailable
from slipway.rollouts.programs import envoy_command, programs
from slipway.rollouts.routes import Address, Route, Unit

NAMES = ("edge", "edge_admin", "controller", "rtds")


class FixedPorts:
    """Ports by name, from 18000 on."""

    def port(self, name: str) -> int:
        return 18_000 + NAMES.index(name)


@pytest.fixture
def own_project(tmp_path: Path) -> Project:
    return Project(root=tmp_path, home=tmp_path / ".slipway", name="test")


def test_programs_are_the_controller_and_the_edge_with_their_ports(own_project: Project):
    controller, edge = programs(own_project, FixedPorts())
    assert controller.command[-2:] == ("--http=127.0.0.1:18002", "--rtds=127.0.0.1:18003")
    assert (controller.url, edge.url) == ("http://127.0.0.1:18002", "http://127.0.0.1:18000")
    assert Path(edge.command[0]).is_file()
    bootstrap = yaml.safe_load(Path(edge.command[2]).read_text())
    assert bootstrap["admin"]["address"]["socket_address"]["port_value"] == 18001


def test_routes_stay_when_the_programs_are_made_again(own_project: Project):
    programs(own_project, FixedPorts())
    routes = own_project.home / "edge" / envoy.ROUTES_FILE
    routes.write_text("what the controller wrote")
    programs(own_project, FixedPorts())
    assert routes.read_text() == "what the controller wrote"


def test_envoy_on_path_is_used_before_the_wheels(tmp_path: Path, monkeypatch):
    own = tmp_path / "envoy"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert envoy_command() == (str(own),)


def test_missing_envoy_is_named_with_the_way_to_get_it(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("slipway.rollouts.programs.resources.files", lambda _name: tmp_path)
    with pytest.raises(EdgeUnavailable, match="install Envoy"):
        envoy_command()


def test_requests_are_hashed_by_their_id_when_the_unit_is_a_request():
    route = Route(service="churn", stable=Address(host="h", port=1), candidate=None, salt="s", unit=Unit.REQUEST)
    (found, _unknown) = envoy.route_config([route])["virtual_hosts"][0]["routes"]
    assert found["route"]["hash_policy"][0]["header"]["header_name"] == "x-request-id"
    assert found["route"]["timeout"] == "2.500s"


def test_weights_in_the_files_give_stable_everything():
    route = Route(service="churn", stable=None, candidate=None, salt="s")
    (found, _unknown) = envoy.route_config([route])["virtual_hosts"][0]["routes"]
    weights = {one["name"]: one["weight"] for one in found["route"]["weighted_clusters"]["clusters"]}
    assert weights == {"churn_candidate_or_stable": 0, "churn_stable": 10_000}
