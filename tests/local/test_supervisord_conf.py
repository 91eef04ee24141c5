"""What is written for supervisord is what it reads."""

import shlex
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from slipway.local import Program
from slipway.local.errors import UnusableValue
from slipway.local.supervisord_conf import conf_path, render_daemon, render_program, url_of

SLEEP = ("/bin/sleep", "600")


def read_back(run_dir: Path, program: Program) -> object:
    (run_dir / "programs").mkdir(exist_ok=True)
    (run_dir / "home" / "logs").mkdir(parents=True, exist_ok=True)
    conf_path(run_dir).write_text(render_daemon(run_dir, as_root=False))
    (run_dir / "programs" / "p.conf").write_text(render_program(program, run_dir=run_dir, stop_rank=7))
    options = ServerOptions()
    options.realize(["-c", str(conf_path(run_dir))])
    [group] = options.process_group_configs
    assert group.priority == 7
    [config] = group.process_configs
    return config


def test_every_field_arrives(tmp_path: Path) -> None:
    awkward = "50% of 'them', a=b \\ $HOME %(name)s"
    program = Program(
        name="web-1",
        command=("/bin/serve", "a b", "100%", awkward, ""),
        env={"EMPTY": "", "AWKWARD": awkward, "LIST": "a,b=c"},
        cwd=tmp_path,
        stop_signal="INT",
        stop_wait_s=2.6,
        url="http://127.0.0.1:1/100%",
    )
    config = read_back(tmp_path, program)
    assert config.name == "web-1"
    assert config.environment == program.env
    assert config.directory == str(tmp_path)
    assert config.stopsignal.name == "SIGINT"
    assert config.stopwaitsecs == 3
    assert config.stdout_logfile == str(tmp_path / "home" / "logs" / "web-1.log")
    assert (config.autostart, config.killasgroup, config.redirect_stderr) == (True, True, True)
    assert tuple(shlex.split(config.command)) == program.command
    assert url_of(render_program(program, run_dir=tmp_path)) == program.url


def test_root_is_named_when_we_are_root(tmp_path: Path) -> None:
    assert "user=root\n" in render_daemon(tmp_path, as_root=True)
    assert "user=" not in render_daemon(tmp_path, as_root=False)


@pytest.mark.parametrize(
    "program",
    [
        Program(name="two words", command=SLEEP),
        Program(name="../up", command=SLEEP),
        Program(name="web", command=("a", "line\nbreak")),
        Program(name="web", command=("a", "cut ;here")),
        Program(name="web", command=SLEEP, env={"A": 'say "no"'}),
        Program(name="web", command=SLEEP, env={"A": "'quoted'"}),
        Program(name="web", command=SLEEP, env={"A": "cut #here"}),
        Program(name="web", command=SLEEP, cwd=Path("/a\tb")),
        Program(name="web", command=SLEEP, env={"A": "%(here)s"}),
    ],
)
def test_what_supervisord_would_read_otherwise_is_refused(program: Program) -> None:
    with pytest.raises(UnusableValue):
        render_program(program, run_dir=Path("/tmp/r"))  # noqa: S108  never touched


def test_a_refusal_does_not_repeat_a_secret() -> None:
    with pytest.raises(UnusableValue) as caught:
        render_program(Program(name="web", command=SLEEP, env={"A": "sword\nfish"}), run_dir=Path("/r"))
    assert "fish" not in str(caught.value)
