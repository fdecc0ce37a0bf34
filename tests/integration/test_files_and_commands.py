"""A real engine and real files: file orders, watched directories, on-exit commands."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.programs import World, free_port, wait_for


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as world:
        yield world


def folder(world: World, name: str) -> Path:
    made = world.folder / name
    made.mkdir()
    return made


def write_file_chain(
    world: World, name: str, source: Path, sink: str, attributes: str = ""
) -> None:
    """A chain with one node that notes the path of its file."""
    trace = world.folder / "trace"
    world.write_job("note", f'echo "$SCHEDULER_PARAM_SCHEDULER_FILE_PATH" >> {trace}')
    world.write(
        f"{name}.job_chain.xml",
        f'<job_chain {attributes}><file_order_source directory="{source}" repeat="1"/>'
        f'<job_chain_node state="100" job="note"/>{sink}</job_chain>',
    )


def traced(world: World) -> list[str]:
    trace = world.folder / "trace"
    return trace.read_text().split() if trace.exists() else []


def test_files_are_worked_on_and_moved_away(world: World) -> None:
    source, target = folder(world, "in"), folder(world, "out")
    sink = f'<file_order_sink state="moved" move_to="{target}"/>'
    write_file_chain(world, "walk", source, sink)
    for name in ("a", "b", "c"):
        (source / name).write_text(name)
    world.start_engine()
    wait_for("three moved files", lambda: len(list(target.iterdir())) == 3)
    assert not list(source.iterdir())
    assert sorted(traced(world)) == [str(source / name) for name in "abc"]
    wait_for("no order left", lambda: world.orders_in("/walk") == 0)
    assert {run["state"] for run in world.runs("/walk")} == {"moved"}


def test_a_file_that_stays_is_not_worked_on_again_not_even_after_a_crash(world: World) -> None:
    source = folder(world, "in")
    write_file_chain(world, "walk", source, '<job_chain_node.end state="end"/>')
    path = source / "a"
    path.touch()
    engine = world.start_engine()

    def is_blacklisted() -> bool:
        order = world.order("/walk", str(path))
        return order is not None and order["status"] == "blacklisted"

    wait_for("a blacklisted order", is_blacklisted)
    engine.kill()
    world.start_engine()
    wait_for("the blacklisted order", is_blacklisted)
    (source / "b").touch()
    wait_for("the second file's order", lambda: str(source / "b") in traced(world))
    assert traced(world).count(str(path)) == 1
    path.unlink()
    wait_for("the order to go", lambda: world.order("/walk", str(path)) is None)
    path.touch()
    wait_for("the file's second order", lambda: traced(world).count(str(path)) == 2)


def test_files_of_an_agent_are_found_and_removed_there(world: World) -> None:
    source = folder(world, "in")
    port = free_port()
    world.start_agent(port, "--trust-loopback")
    agent = f"http://127.0.0.1:{port}"
    world.write("far.process_class.xml", f'<process_class remote_scheduler="{agent}"/>')
    sink = '<file_order_sink state="gone" remove="yes"/>'
    write_file_chain(world, "walk", source, sink, 'process_class="far"')
    world.start_engine()
    (source / "a").touch()
    wait_for("the file to go", lambda: not list(source.iterdir()))
    wait_for("no order left", lambda: world.orders_in("/walk") == 0)
    assert traced(world) == [str(source / "a")]


def test_a_watched_directory_starts_a_job_with_its_files(world: World) -> None:
    watched = folder(world, "watched")
    trace = world.folder / "trace"
    world.write(
        "watching.job.xml",
        '<job><script language="shell"><![CDATA['
        f'echo "$SCHEDULER_TASK_TRIGGER_FILES" >> {trace}]]></script>'
        f'<start_when_directory_changed directory="{watched}" regex="[^~]$"/></job>',
    )
    world.environment["POINTSMAN_DIRECTORY_WATCH_INTERVAL_S"] = "0.1"
    world.start_engine()
    (watched / "a~").touch()
    (watched / "a").touch()
    wait_for("the first start", lambda: traced(world) == [str(watched / "a")])
    (watched / "b").touch()
    both = f"{watched / 'a'};{watched / 'b'}"
    wait_for("the second start", lambda: traced(world)[1:] == [both])


def test_on_exit_commands_copy_parameters_and_survive_each_others_failure(world: World) -> None:
    trace = world.folder / "trace"
    world.write_job("fails", "exit 3")
    job = world.live / "fails.job.xml"
    commands = (
        '<commands on_exit_code="3"><start_job job="/nowhere"/>'
        '<start_job job="/next"><params><copy_params from="order"/>'
        '<param name="more" value="m"/></params></start_job></commands>'
    )
    world.write("fails.job.xml", job.read_text().replace("</job>", f"{commands}</job>"))
    world.write(
        "next.job.xml",
        '<job><script language="shell"><![CDATA['
        f'echo "$SCHEDULER_PARAM_P$SCHEDULER_PARAM_MORE" >> {trace}]]></script></job>',
    )
    world.write_chain("walk", ["fails"])
    world.start_engine()
    world.ask("order", "add", "/walk", "1", "--param", "p=v")
    wait_for("the next job", lambda: traced(world) == ["vm"])
    wait_for("the order's end", lambda: world.orders_in("/walk") == 0)
    assert world.runs("/walk")[0]["state"] == "failed"
    assert "SCHEDULER-327" in (world.data / "engine.log").read_text()


def test_an_orders_log_tells_what_happened_between_its_steps_also_after_a_crash(
    world: World,
) -> None:
    world.write_job("work", "echo at $SCHEDULER_ORDER_STATE")
    world.write(
        "walk.job_chain.xml",
        '<job_chain><job_chain_node state="1" job="work"/>'
        '<job_chain_node state="2" job="work" suspend="yes"/>'
        '<job_chain_node.end state="end"/></job_chain>',
    )
    engine = world.start_engine()
    world.ask("order", "add", "/walk", "x", "--suspended")
    world.ask("order", "resume", "/walk", "x")

    def log(*words: str) -> bool:
        said = world.ask("order", "log", "/walk", "x").stdout
        at = [said.find(word) for word in words]
        return -1 not in at and at == sorted(at)

    before = ("SCHEDULER-992", "at 1", "SCHEDULER-991")
    wait_for("the first step and what came before it", lambda: log(*before))
    engine.kill()
    world.start_engine()
    assert log(*before)
    world.ask("order", "resume", "/walk", "x")
    wait_for("a second step after its resumption", lambda: log(*before, "at 2", "SCHEDULER-945"))
    [run] = wait_for("the run's end in the history", lambda: world.runs("/walk"))
    shown = world.get("/api/orders/log", chain="/walk", order="x")
    assert shown["history"] == run["history"]
    assert shown["text"].count("SCHEDULER-992") == 2


def test_the_tcp_port_of_scheduler_xml_serves_the_hosts_it_lets_in(world: World) -> None:
    port = free_port()
    world.write_job("work", "true")
    (world.live.parent / "scheduler.xml").write_text(
        f'<spooler>\n<config tcp_port="{port}">\n<security>'
        '<allowed_host host="127.0.0.1" level="info"/></security>\n</config></spooler>'
    )
    world.start_engine()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.settimeout(60)
        said = b""
        for command in (b"<show_state/>", b'<start_job job="work"/>'):
            connection.sendall(command)
            while not said.endswith(b"\0"):
                said += connection.recv(65_536)
            said = said.removesuffix(b"\0")
    assert f'tcp_port="{port}"'.encode() in said
    assert b"SCHEDULER-121" in said
