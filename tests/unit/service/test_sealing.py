"""Secrets are sealed on their way in, and opened for drivers only."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codec.xml.secrets import masked, with_secrets_replaced
from engine.kernel.commands import AddOrder, ApplyDefinitions, ModifyOrder, Request, StartJob
from engine.kernel.definitions import (
    ExitCommands,
    MainConfiguration,
    NativeScript,
    OrderDefinition,
    Source,
)
from engine.kernel.ids import ExecutionKey, OrderId, OrderKey, chain_key, job_key
from engine.kernel.instants import Instant
from engine.kernel.reports import NativeEnded, NodeSettingsRead, Report
from engine.service.sealing import Sealer
from engine.store.secret_box import SealBroken, SecretBox
from tests.support.world import shell_job

SECRET = 'p&"ss <word> $1'
XML = (
    "<job><params><param name='db_PassWord' value='p&amp;&quot;ss &lt;word> $1'/>"
    '<param value="plain" name="user"/><param name="token" value=""/></params></job>'
)


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    return Sealer(SecretBox(tmp_path / "secret.key"))


def order(**params: str) -> OrderDefinition:
    return OrderDefinition(key=OrderKey(chain_key("c"), OrderId("1")), params=params)


def test_an_order_s_password_is_sealed_and_opens_again(sealer: Sealer) -> None:
    sealed = sealer.incoming(AddOrder(order=order(password=SECRET, user="u")))
    assert isinstance(sealed, AddOrder)
    assert SECRET not in repr(sealed)
    assert sealed.order.params["user"] == "u"
    assert sealer.opened(sealed.order.params) == {"password": SECRET, "user": "u"}
    again = sealer.incoming(sealed)
    assert again == sealed, "what is sealed is not sealed twice"


def test_every_way_in_is_guarded(sealer: Sealer) -> None:
    params = {"1/ssh_password": SECRET, "API_TOKEN": SECRET}
    key = ExecutionKey("e/1.1")
    job = shell_job(
        "a",
        params=params,
        environment=params,
        source=Source(file="a.job.xml", modified_at=Instant(0), xml=XML),
        exit_commands=(ExitCommands(codes=("error",), xml=(XML,)),),
        script=NativeScript(kind="ssh", java_class="x"),
    )
    inputs: list[Request | Report] = [
        AddOrder(order=order(**params)),
        ModifyOrder(order=OrderKey(chain_key("c"), OrderId("1")), params=params, xml_payload=XML),
        StartJob(job=job_key("a"), params=params, environment=params),
        ApplyDefinitions(
            defined=(job, order(**params)), main=MainConfiguration(params=params), complete=True
        ),
        NativeEnded(key=key, succeeded=True, returned=params),
        NodeSettingsRead(key=key, order_params=params, task_params=params, xml_payload=XML),
    ]
    for content in inputs:
        text = json.dumps(repr(sealer.incoming(content)))
        assert "word>" not in text, content


def test_a_definition_read_again_is_seen_to_be_unchanged(tmp_path: Path) -> None:
    content = ApplyDefinitions(defined=(shell_job("a", params={"password": SECRET}),))
    first = Sealer(SecretBox(tmp_path / "secret.key")).incoming(content)
    second = Sealer(SecretBox(tmp_path / "secret.key")).incoming(content)
    assert first == second


@pytest.mark.parametrize("value", ["", "${db_password}", r"\${x}", "%x%"])
def test_what_is_no_secret_itself_stays(sealer: Sealer, value: str) -> None:
    content = AddOrder(order=order(password=value))
    assert sealer.incoming(content) == content


def test_a_sealed_value_pasted_into_another_text_opens_there(sealer: Sealer) -> None:
    sealed = sealer.incoming(AddOrder(order=order(password=SECRET)))
    assert isinstance(sealed, AddOrder)
    pasted = f"login {sealed.order.params['password']} now"
    assert sealer.opened({"command": pasted}) == {"command": f"login {SECRET} now"}


def test_another_key_opens_nothing_and_says_so(tmp_path: Path) -> None:
    sealed = SecretBox(tmp_path / "one.key").seal(SECRET)
    with pytest.raises(SealBroken, match=r"other\.key"):
        SecretBox(tmp_path / "other.key").open(sealed)


def test_the_key_file_is_the_owner_s_alone_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "secret.key"
    sealed = SecretBox(file).seal(SECRET)
    assert file.stat().st_mode & 0o777 == 0o600
    assert SecretBox(file).open(sealed) == SECRET
    file.write_bytes(b"short")
    with pytest.raises(SealBroken, match="no key"):
        SecretBox(file).seal(SECRET)


@given(value=st.text(min_size=1), around=st.text(max_size=5))
def test_any_text_survives_sealing(
    value: str, around: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    box = SecretBox(tmp_path_factory.getbasetemp() / "property.key")
    sealed = box.seal(value)
    assert box.open(sealed) == value
    assert box.open(f"{around}{sealed}{around}") == f"{around}{value}{around}"


def test_a_logged_command_shows_stars_and_nothing_else_changes() -> None:
    shown = masked(XML)
    assert shown.replace('"***"', "'p&amp;&quot;ss &lt;word> $1'") == XML
    assert masked('<a name="x"/>') == '<a name="x"/>'


def test_a_replaced_value_is_the_one_that_was_meant() -> None:
    seen: list[str] = []

    def note(value: str) -> str:
        seen.append(value)
        return '<"&'

    assert "&lt;&quot;&amp;" in with_secrets_replaced(XML, note)
    assert seen == [SECRET, ""]
