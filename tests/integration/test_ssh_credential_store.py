"""SSH jobs whose credentials stand in a KeePass database, against a real server."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.keepass_files import FOLDER, PASSPHRASE, PASSWORD
from tests.support.ssh_engine import SshEngine, ssh_engine
from tests.support.ssh_example import cleanup_run
from tests.support.ssh_world import ssh_world
from tests.support.sshd import missing

pytestmark = [
    pytest.mark.skipif(missing("sshd") is not None, reason=str(missing("sshd"))),
    pytest.mark.timeout(180),
    pytest.mark.anyio,
]

ON_HOST = "secret of tester"
"""The account's password, as the databases have it."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SshEngine]:
    with ssh_engine(tmp_path, password=ON_HOST) as place:
        with (place.server.folder / "authorized_keys").open("a") as file:
            file.writelines(
                (FOLDER / f"{each}.pub").read_text() for each in ("id_ed25519", "id_locked")
            )
        yield place


def put(world: SshEngine, name: str) -> Path:
    file = world.folder / "hosts.kdbx"
    shutil.copy(FOLDER / f"{name}.kdbx", file.with_suffix(".new"))
    file.with_suffix(".new").replace(file)
    return file


def store(world: SshEngine, name: str = "4-aes256-argon2d") -> dict[str, str]:
    """Parameters with a database; the port of the server is nobody's secret."""
    return {
        "credential_store_filename": str(put(world, name)),
        "credential_store_password": PASSWORD,
        "host": "cs://hosts/db1@url",
        "port": str(world.server.port),
        "user": "cs://hosts/db1@user",
        "command": r"echo \$SCHEDULER_PARAM_KIND; env | grep -e [c]s:/ -e [s]ecret",
        "kind": "for all to see",
        "ignore_error": "true",
    }


BY_PASSWORD = {"auth_method": "password", "password": "cs://hosts/db1@password"}
BY_KEY = {"auth_file": "cs://hosts/db1@attachment"}
BY_LOCKED_KEY = {
    "auth_file": "cs://hosts/east/web@2@id_locked",
    "passphrase": "cs://hosts/db1@Pass Phrase",
}


@pytest.mark.parametrize(
    ("name", "login"),
    [
        ("4-aes256-argon2d", BY_PASSWORD),
        ("3-chacha20-salsa20", BY_PASSWORD),
        ("3-keepassxc", BY_KEY),
        ("4-chacha20-argon2id", BY_LOCKED_KEY),
    ],
    ids=["password", "password, format 3", "key", "locked key"],
)
def test_a_step_logs_in_with_what_the_store_holds_and_nothing_shows_it(
    world: SshEngine, name: str, login: dict[str, str]
) -> None:
    world.write_ssh_chain(store(world, name) | login)
    world.start_engine()
    world.add("one")
    run = world.run_of("one")
    assert run["state"] == "done", world.task_log(run["steps"][0]["task"])
    log = world.task_log(run["steps"][0]["task"])
    assert "for all to see" in log
    assert "cs://" not in log, "references are not exported either"
    assert world.engine is not None
    assert world.engine.end() == 0
    for file, content in world.kept_files():
        for secret in (ON_HOST, PASSWORD, PASSPHRASE, "OPENSSH PRIVATE KEY"):
            assert secret.encode() not in content, (file, secret)


def test_a_wrong_password_says_so_and_a_corrected_database_helps_at_once(world: SshEngine) -> None:
    login = store(world, "4-by-both") | BY_PASSWORD
    world.write_ssh_chain(login)
    world.start_engine()
    world.add("locked")
    assert world.run_of("locked")["state"] == "failed"
    assert "the password or the key file is not the right one" in world.task_log(1)
    put(world, "4-aes256-argon2d")
    world.add("open")
    assert world.run_of("open")["state"] == "done"


def test_watch_and_browser_go_by_the_references_too(world: SshEngine) -> None:
    watch = {"runWithWatchdog": "true", "cleanupJobchain": "kill_jobs/remote_cleanup_test"}
    leaves = {"command": "setsid sleep 5900 & sleep 5901", "ignore_error": "false"}
    world.write_ssh_chain(store(world) | BY_KEY | watch | leaves)
    world.write_cleanup_chain()
    world.start_engine()
    world.add("one")
    task = world.task_of("one")
    world.awaited("its processes", lambda: len(sleeping(world)) == 2 or None)
    name = f"cs:hosts.db1:{world.server.port}"
    assert "sleep 5900" in world.ask("processes", name).stdout
    world.server.cut()
    world.ask("command", f'<kill_task job="/remote" id="{task}" immediately="yes"/>')
    assert world.run_of("one")["state"] == "failed"
    world.awaited("the end of all processes", lambda: not sleeping(world))
    assert cleanup_run(world)["state"] == "SUCCESS"


def sleeping(world: SshEngine) -> list[str]:
    return [text for text in world.server.processes().values() if text.startswith("sleep 59")]


def test_a_refused_login_is_tried_again_when_the_database_has_changed(world: SshEngine) -> None:
    keys = world.server.folder / "authorized_keys"
    allowed = keys.read_text()
    keys.write_text("")
    world.write_ssh_chain(store(world) | BY_KEY)
    world.start_engine()
    world.add("refused")
    assert world.run_of("refused")["state"] == "failed"
    assert "refused the login" in world.task_log(1)
    keys.write_text(allowed)
    world.add("remembered")
    assert world.run_of("remembered")["state"] == "failed", "nothing has changed that we know of"
    put(world, "4-chacha20-argon2id")
    world.add("again")
    assert world.run_of("again")["state"] == "done"


def test_an_order_may_name_the_entry(world: SshEngine) -> None:
    short = {"host": "cs://@url", "user": "cs://@user", "auth_file": "cs://@id_ed25519"}
    world.write_ssh_chain(store(world) | short)
    world.start_engine()
    world.add("none")
    assert world.run_of("none")["state"] == "failed"
    assert "credential_store_entry_path" in world.task_log(1)
    world.add("named", "credential_store_entry_path=/hosts/db1")
    assert world.run_of("named")["state"] == "done"
    world.add("unknown", "credential_store_entry_path=/hosts/db3")
    assert world.run_of("unknown")["state"] == "failed"
    assert "no entry hosts/db3; there is hosts/db1" in world.task_log(3)


async def test_a_store_that_cannot_be_read_concludes_nothing_about_a_run(
    world: SshEngine,
) -> None:
    server, file = world.server, world.folder / "hosts.kdbx"
    waiting = {"command": "until test -e go; do sleep 0.05; done; echo went on"}
    async with ssh_world(world.folder, server) as engine:
        engine.start("e/1.1", store(world) | BY_KEY | waiting)
        await engine.launched("e/1.1")
        await engine.stop()
        await asyncio.to_thread(file.unlink)
        await engine.restart()
        await engine.wait_for(lambda: "is not readable" in str(engine.output.notes) or None)
        (server.home() / "go").touch()
        put(world, "4-aes256-argon2d")
        assert (await engine.exited("e/1.1")).exit_code == 0
        assert engine.text("e/1.1") == "went on\n"
