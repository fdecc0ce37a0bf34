"""The `[ssh]` section of engine.toml."""

from pathlib import Path

import pytest

from engine.errors import SettingsError
from engine.kernel.sessions.credentials import StoreAccess
from engine.kernel.sessions.parameters import AgentLogin, KeyLogin, PasswordLogin, StoredLogin
from engine.kernel.sessions.secret import Secret
from engine.service.settings import EngineSettings, read_settings


def read(folder: Path, text: str) -> EngineSettings:
    (folder / "live").mkdir(exist_ok=True)
    (folder / "engine.toml").write_text(text)
    return read_settings(folder, {"data": folder / "data"}, {"HOME": str(folder)})


def findings(folder: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(folder, text)
    return "\n".join(caught.value.findings)


def test_everything_has_a_default(tmp_path: Path) -> None:
    ssh = read(tmp_path, "").ssh
    assert ssh.hosts == ()
    assert not ssh.accept_new_host_keys
    assert not ssh.allow_custom_commands
    assert ssh.for_driver(tmp_path).keepalive_interval_s == 15


def test_hosts_are_read_with_their_logins(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hush\n")
    ssh = read(
        tmp_path,
        """
        [ssh]
        known_hosts = "known"
        keepalive_s = 3
        [[ssh.hosts]]
        host = "a.example.net"
        user = "batch"
        auth_file = "keys/id"
        temp_dir = "/var/tmp/runs"
        [[ssh.hosts]]
        host = "b"
        user = "root"
        port = 2222
        password_file = "password"
        name = "bee"
        protected = true
        [[ssh.hosts]]
        host = "c"
        user = "u"
        use_keyagent = true
        [[ssh.hosts]]
        host = "d"
        user = "cs://@user"
        password = "cs://hosts/d@password"
        credential_store_filename = "hosts.kdbx"
        credential_store_password_file = "password"
        credential_store_entry_path = "hosts/d"
        """,
    ).ssh
    assert ssh.known_hosts == (tmp_path / "known",)
    assert ssh.for_driver(tmp_path / "own").keepalive_interval_s == 3
    first, second, third, fourth = ssh.hosts
    assert (first.name, first.folders) == ("batch@a.example.net", ("/var/tmp/runs",))
    assert first.target.login == KeyLogin(file=str(tmp_path / "keys/id"))
    assert (second.name, second.target.port, second.is_protected) == ("bee", 2222, True)
    assert isinstance(second.target.login, PasswordLogin)
    assert second.target.login.password.reveal() == "hush"
    assert "hush" not in repr(ssh)
    assert third.target.login == AgentLogin()
    assert isinstance(fourth.target.login, StoredLogin)
    access = StoreAccess(file=str(tmp_path / "hosts.kdbx"), password=Secret("hush"))
    assert fourth.target.login.connection.access == access
    assert fourth.name == "d"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[ssh]\nknown = 'x'", "ssh_known is no setting"),
        ("[ssh]\nkeepalive_s = 0", "not between 1"),
        ("[ssh]\nhosts = 'x'", "write [[ssh.hosts]]"),
        ("[[ssh.hosts]]\nhost = 'a'", "user is missing"),
        ("[[ssh.hosts]]\nhost='a'\nuser='u'\npassword='x'", "write password_file, or a cs://"),
        (
            "[[ssh.hosts]]\nhost='a'\nuser='u'\npassword='cs://e@password'",
            "credential_store_filename is missing",
        ),
        ("[[ssh.hosts]]\nhost='a'\nuser='u'\npasword='x'", "pasword is no setting"),
        ("[[ssh.hosts]]\nhost='a'\nuser='u'\npassword_file='none'", "cannot be read"),
        ("[[ssh.hosts]]\nhost='a'\nuser='u'\nuse_keyagent=true\nname='a/b'", "without a slash"),
        (
            "[[ssh.hosts]]\nhost='a'\nuser='u'\nuse_keyagent=true\n" * 2,
            "two hosts are called 'u@a'",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    assert said in findings(tmp_path, text)
