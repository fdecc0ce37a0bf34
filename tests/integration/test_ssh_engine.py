"""SSH jobs through the real engine: parameters, results, secrets, crashes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ssh_engine import SshEngine, ssh_engine
from tests.support.sshd import eventually, missing

pytestmark = [
    pytest.mark.skipif(missing("sshd") is not None, reason=str(missing("sshd"))),
    pytest.mark.timeout(180),
]

PASSWORD = "Zq7-throwaway-Kx9"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SshEngine]:
    with ssh_engine(tmp_path, password=PASSWORD) as place:
        yield place


def params_of(world: SshEngine, order: str, chain: str = "/work") -> dict[str, str]:
    return dict(world.get("/api/orders", chain=chain, order=order)["orders"][0]["params"])


def test_an_ssh_job_runs_and_hands_its_results_to_the_order(world: SshEngine) -> None:
    # A dollar in a parameter of a definition file would name a variable of the engine.
    script = r'echo "answer=\$SCHEDULER_PARAM_QUESTION" >> "\$SCHEDULER_RETURN_VALUES"; echo done'
    world.write_ssh_chain(world.login() | {"command": script})
    world.write_job("show", "echo answer=$SCHEDULER_PARAM_ANSWER code=$SCHEDULER_PARAM_EXIT_CODE")
    world.write_chain("work", ["remote", "show"])
    world.start_engine()
    world.add("a", "question=how much")
    run = world.run_of("a")
    assert run["state"] == "done"
    first, second = (step["task"] for step in run["steps"])
    assert "done" in world.task_log(first)
    assert "answer=how much code=0" in world.task_log(second)


def test_parameters_of_the_order_win_and_those_for_a_node_win_over_all(world: SshEngine) -> None:
    job = world.login() | {
        "ssh_host": "192.0.2.1",
        "command": "echo first",
        "greeting": "from job",
        "job::remote/name": "for this job",
        "job::other/name": "for another job",
    }
    del job["host"]
    world.write_ssh_chain(job)
    world.start_engine()
    told = "command=echo ${greeting}, %NAME%, ${SCHEDULER_ORDER_ID}, ${unknown}; false || true"
    world.add("a", "host=127.0.0.1", told.replace("${unknown}", "x"), "greeting=from order")
    world.add("b", "host=127.0.0.1", "command=echo nobody", "1/command=echo node ${GREETING}")
    first, second = world.run_of("a"), world.run_of("b")
    assert "from order, for this job, a, x" in world.task_log(first["steps"][0]["task"])
    assert "node from job" in world.task_log(second["steps"][0]["task"])


@pytest.mark.parametrize(
    ("extra", "state", "error"),
    [
        ({}, "failed", "exit code 5"),
        ({"raise_exception_on_error": "false"}, "done", ""),
        ({"ignore_exit_code": "4,5-6", "ignore_stderr": "true"}, "done", ""),
        ({"ignore_error": "true"}, "failed", "wrote to stderr: trouble"),
        ({"ignore_error": "true", "ignore_stderr": "true"}, "done", ""),
    ],
    ids=["strict", "never raise", "codes", "stderr counts", "ignore all"],
)
def test_success_follows_the_rules_of_the_job(
    world: SshEngine, extra: dict[str, str], state: str, error: str
) -> None:
    command = {"command": "echo trouble >&2; exit 5"}
    world.write_ssh_chain(world.login() | command | extra)
    world.start_engine()
    world.add("a")
    run = world.run_of("a")
    assert run["state"] == state
    assert error in run["steps"][0]["error_text"]


def test_a_tolerated_exit_code_leads_where_the_node_says(world: SshEngine) -> None:
    world.write_ssh_chain(
        world.login() | {"command": "exit 5", "raise_exception_on_error": "false"}
    )
    world.write(
        "work.job_chain.xml",
        '<job_chain><job_chain_node state="1" job="remote" next_state="done" error_state="failed">'
        '<on_return_codes><on_return_code return_code="5"><to_state state="five"/>'
        '</on_return_code></on_return_codes></job_chain_node><job_chain_node state="five"/>'
        '<job_chain_node state="done"/><job_chain_node state="failed"/></job_chain>',
    )
    world.start_engine()
    world.add("a")
    assert world.run_of("a")["state"] == "five"


def test_a_password_leaves_the_engine_for_the_host_only(world: SshEngine) -> None:
    """It is in a definition, in an order and in a returned value; it is found nowhere."""
    login = {
        "host": "127.0.0.1",
        "port": str(world.server.port),
        "user": world.server.user,
        "auth_method": "password",
    }
    (world.server.home() / "secret").write_text(PASSWORD)
    returned = (
        r'echo "db_password=\$(cat ~/secret)" >> "\$SCHEDULER_RETURN_VALUES"; env | grep -ci passw'
    )
    rest = {"command": returned, "ignore_error": "true", "passphrase": PASSWORD}
    world.write_ssh_chain(login | rest | {"password": PASSWORD})
    world.write_job("show", "test ${#SCHEDULER_PARAM_DB_PASSWORD} = " + str(len(PASSWORD)))
    world.write_chain("work", ["remote", "show"])
    world.start_engine()
    world.add("by-job")
    assert world.run_of("by-job")["state"] == "done"
    world.write_ssh_chain(login | rest)
    world.write_chain("work", ["remote", "show"])
    world.ask("command", "<modify_spooler cmd='reload'/>")
    world.ask(
        "command",
        '<add_order job_chain="work" id="by-order" title="a &quot;b&quot;"><params>'
        f"<param value='{PASSWORD}' name='password'/></params></add_order>",
    )
    run = world.run_of("by-order")
    assert run["state"] == "done"
    assert "0" in world.task_log(run["steps"][0]["task"]), "no secret is exported"
    world.add("waits", f"password={PASSWORD}", "scheduler=x")
    answers = [
        world.ask("command", "<show_job job='remote' what='source job_params log'/>").stdout,
        world.ask("command", "<show_order job_chain='work' order='waits' what='payload'/>").stdout,
        world.ask("command", "<show_state what='all orders payload source'/>").stdout,
        json.dumps(world.get("/api/orders", chain="/work")),
        json.dumps([data for data, _ in zip(world.facts(0), range(40), strict=False)]),
    ]
    assert world.engine is not None
    assert world.engine.end() == 0
    for answer in answers:
        assert PASSWORD not in answer
    for name, content in world.kept_files():
        assert PASSWORD.encode() not in content, name
    assert "[sealed:" in answers[-1]


def test_a_killed_engine_finds_its_step_again_and_runs_nothing_twice(world: SshEngine) -> None:
    witness = world.server.home() / "runs"
    go = world.server.home() / "go"
    script = (
        f"echo run >> {witness}; echo before\n"
        f"while [ ! -e {go} ]; do sleep 0.1; done\n"
        'echo after; echo "n=1" >> "$SCHEDULER_RETURN_VALUES"; exit 7'
    )
    world.write_ssh_chain(world.login(), script)
    world.start_engine()
    world.add("a")
    task = world.task_of("a")
    world.awaited("its first output", lambda: "before" in world.task_log(task))
    assert world.engine is not None
    world.engine.kill()
    go.touch()
    eventually(lambda: not world.server.processes())  # the script ends while nobody looks
    world.start_engine()
    run = world.run_of("a")
    assert run["state"] == "failed"
    assert [step["task"] for step in run["steps"]] == [task]
    assert "exit code 7" in run["steps"][0]["error_text"]
    assert witness.read_text() == "run\n"
    log = world.task_log(task)
    assert log.count("before") == 1
    assert log.count("after") == 1
    world.awaited("the end of all processes", lambda: not world.server.processes())


def test_an_unknown_host_key_says_what_to_do_and_trusting_it_helps_at_once(
    world: SshEngine,
) -> None:
    world.write_settings(known_hosts=[])
    world.write_ssh_chain(world.login() | {"command": "echo reached"})
    world.start_engine()
    world.add("a")
    refused = world.run_of("a")
    text = refused["steps"][0]["error_text"] if refused["steps"] else ""
    text += world.task_log(1)
    assert "is not known" in text
    assert "SHA256:" in text
    port = str(world.server.port)
    shown = world.call("ssh", "trust", "127.0.0.1", "--port", port, "--data", str(world.data))
    assert shown.returncode == 1, "nobody has confirmed it"
    fingerprint = next(word for word in shown.stdout.split() if word.startswith("SHA256:"))
    trusted = world.ask("ssh", "trust", "127.0.0.1", "--port", port, "--fingerprint", fingerprint)
    assert "accepted" in trusted.stdout
    again = json.loads(world.ask("ssh", "trust", "127.0.0.1", "--port", port, "--json").stdout)
    assert again["fingerprint"] == fingerprint
    assert (again["was_known"], again["accepted"]) == (True, True)
    other = world.call(
        "ssh",
        "trust",
        "127.0.0.1",
        "--port",
        port,
        "--fingerprint",
        "SHA256:x",
        "--data",
        str(world.data),
    )
    assert "shows another key than SHA256:x" in other.stderr
    world.add("b")
    assert world.run_of("b")["state"] == "done"


def test_a_job_without_an_order_runs_with_what_it_is_started_with(world: SshEngine) -> None:
    login = world.login() | {"command": r"echo for \${whom}"}
    params = "".join(f'<param name="{name}" value="{value}"/>' for name, value in login.items())
    world.write(
        "alone.job.xml",
        f'<job stop_on_error="no"><params>{params}</params><script language="java" '
        'java_class="sos.scheduler.job.JobSchedulerSSHJob"/></job>',
    )
    world.start_engine()
    world.ask(
        "command",
        f'<start_job job="alone" at="now"><params><param name="whom" value="me"/>'
        f'<param name="passphrase" value="{PASSWORD}"/></params></start_job>',
    )
    row = world.awaited(
        "its end",
        lambda: next(
            (r for r in world.get("/api/history/tasks", job="/alone")["tasks"] if r["ended_at"]),
            None,
        ),
    )
    assert row["exit_code"] == 0
    assert "for me" in world.task_log(row["task"])
    assert not [name for name, content in world.kept_files() if PASSWORD.encode() in content]


def test_twelve_steps_run_on_one_host_at_the_same_time(world: SshEngine) -> None:
    """A server lets ten sessions share a connection."""
    go = world.server.home() / "go"
    script = f"echo up >> {go}.log; while [ ! -e {go} ]; do sleep 0.1; done"
    world.write_ssh_chain(world.login(), script, 'tasks="12"')
    world.start_engine()
    for number in range(12):
        world.add(str(number))
    log = world.server.home() / "go.log"
    world.awaited("twelve runs", lambda: log.exists() and log.read_text().count("up") == 12, 60)
    go.touch()
    for number in range(12):
        assert world.run_of(str(number))["state"] == "done"


def test_a_timeout_ends_the_whole_run_on_its_host(world: SshEngine) -> None:
    script = "setsid sleep 5700 & sleep 5800"
    world.write_ssh_chain(world.login(), script, 'timeout="2"')
    world.start_engine()
    world.add("a")
    run = world.run_of("a")
    assert run["state"] == "failed"
    assert run["steps"][0]["error_code"] == "SCHEDULER-272"
    world.awaited("the end of all processes", lambda: not world.server.processes())


def test_a_changed_job_does_not_lose_a_step_that_runs(world: SshEngine) -> None:
    """The engine restarts with another host in the job: the step is looked for where it is."""
    go = world.server.home() / "go"
    script = f"echo here; while [ ! -e {go} ]; do sleep 0.1; done; exit 0"
    world.write_ssh_chain(world.login(), script)
    world.start_engine()
    world.add("a")
    world.task_of("a")
    assert world.engine is not None
    world.engine.kill()
    world.write_ssh_chain(world.login() | {"host": "192.0.2.1"}, script)
    world.start_engine()
    go.touch()
    assert world.run_of("a")["state"] == "done"
