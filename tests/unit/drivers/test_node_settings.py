"""Node parameters from `*.config.xml`: lookup, format, effect, substitution (9.2)."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.codec.xml.findings import Finding
from engine.codec.xml.node_settings import SettingsFile, parse_node_settings
from engine.drivers.node_settings import NodeSettingsReader
from engine.kernel.effects import ReadNodeSettings
from engine.kernel.ids import ExecutionKey, TaskId
from engine.kernel.reports import NodeSettingsRead

WIDE = '<params><param name="wide" value="w"/></params>'


def settings(inner: str, attributes: str = "") -> str:
    return f'<settings><job_chain name="walk"><order {attributes}>{inner}</order></job_chain></settings>'


def node(state: str, *params: str) -> str:
    inner = "".join(
        '<param name="{}" value="{}"/>'.format(*param.split("=", 1)) for param in params
    )
    return f'<process state="{state}"><params>{inner}</params></process>'


class Live:
    """A live folder with a reader over it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "sub").mkdir()
        self.reader = NodeSettingsReader(root, {"FROM_HOST": "host"})

    def writes(self, name: str, text: str | bytes) -> None:
        data = text if isinstance(text, bytes) else text.encode()
        (self.root / name).write_bytes(data)

    def reads(
        self, params: Mapping[str, str] | None = None, order: str = "1", **changes: object
    ) -> NodeSettingsRead:
        values: dict[str, object] = {
            "key": ExecutionKey("test/1.1"),
            "task": TaskId(1),
            "chain": "/sub/Walk",
            "order": order,
            "state": "100",
            "order_params": params or {},
            "task_params": {},
            "engine_params": {},
            "xml_payload": "",
            "has_own_settings": False,
        }
        values.update(changes)
        return self.reader.read(ReadNodeSettings(**values))  # type: ignore[arg-type]  # by name


@pytest.fixture
def live(tmp_path: Path) -> Live:
    return Live(tmp_path)


# --- the file ------------------------------------------------------------------------------------


def test_without_a_file_nothing_changes(live: Live) -> None:
    read = live.reads({"a": "1"})
    assert (read.order_params, read.taken_back, read.problem) == ({"a": "1"}, (), "")


def test_the_file_is_named_after_the_chain_beside_it(live: Live) -> None:
    live.writes("sub/Walk.config.xml", settings(WIDE))
    read = live.reads()
    assert read.order_params["wide"] == "w"
    assert read.order_params["configuration_file"] == "Walk.config.xml"
    assert read.order_params["scheduler_order_configuration_loaded"] == "true"
    assert read.xml_payload == settings(WIDE)


def test_a_file_of_the_order_comes_first_and_one_that_is_named_before_both(live: Live) -> None:
    live.writes("sub/Walk.config.xml", settings(WIDE))
    live.writes("sub/Walk,1.config.xml", settings(WIDE.replace('"w"', '"own"')))
    live.writes("sub/other.config.xml", settings(WIDE.replace('"w"', '"named"')))
    assert live.reads().order_params["wide"] == "own"
    assert live.reads(order="2").order_params["wide"] == "w"
    named = live.reads({"configuration_file": "other.config.xml"})
    assert named.order_params["wide"] == "named"


def test_configuration_path_names_another_folder(live: Live) -> None:
    (live.root / "elsewhere").mkdir()
    live.writes("elsewhere/Walk.config.xml", settings(WIDE))
    folder = str(live.root / "elsewhere")
    assert live.reads({"configuration_path": folder}).order_params["wide"] == "w"
    assert live.reads(task_params={"Configuration_Path": folder}).order_params["wide"] == "w"


def test_settings_read_before_are_used_when_the_file_has_gone(live: Live) -> None:
    loaded = {"scheduler_order_configuration_loaded": "true"}
    read = live.reads(loaded, xml_payload=settings(WIDE))
    assert read.order_params["wide"] == "w"


def test_an_order_that_brings_its_settings_needs_no_file(live: Live) -> None:
    live.writes("sub/Walk.config.xml", settings(WIDE.replace('"w"', '"file"')))
    read = live.reads(xml_payload=settings(WIDE), has_own_settings=True)
    assert read.order_params == {"wide": "w"}


@pytest.mark.parametrize("text", ["<settings", "", "<!DOCTYPE x><settings/>", b"\xff\xfe\x00"])
def test_unusable_settings_are_a_problem_that_names_the_file(live: Live, text: str | bytes) -> None:
    live.writes("sub/Walk.config.xml", text)
    read = live.reads({"a": "1"})
    assert "Walk.config.xml" in read.problem
    assert read.order_params == {"a": "1"}


def test_a_file_that_is_too_big_is_a_problem(live: Live) -> None:
    live.writes("sub/Walk.config.xml", b" " * 1_000_001)
    assert "1000000 bytes" in live.reads().problem


def test_an_order_id_that_is_a_path_has_no_file_of_its_own(live: Live) -> None:
    live.writes("sub/Walk.config.xml", settings(WIDE))
    assert live.reads(order="/in/../../x").order_params["wide"] == "w"


# --- what it says --------------------------------------------------------------------------------


def test_node_params_are_for_their_node_and_taken_back(live: Live) -> None:
    inner = WIDE + node("100", "here=1", "wide=narrow") + node("200", "there=2")
    live.writes("sub/Walk.config.xml", settings(inner))
    read = live.reads({"here": "order", "wide": "order"})
    assert read.order_params["here"] == "1"
    assert read.order_params["wide"] == "narrow"
    assert "there" not in read.order_params
    assert set(read.taken_back) == {"here", "wide"}


def test_params_for_the_state_win(live: Live) -> None:
    live.writes("sub/Walk.config.xml", settings(node("100", "here=file")))
    read = live.reads({"100/here": "order", "200/there": "x", "100/new": "n"})
    assert read.order_params["here"] == "order"
    assert read.order_params["new"] == "n"
    assert "there" not in read.order_params
    assert set(read.taken_back) >= {"here", "new"}


def test_values_may_be_element_text_and_orders_may_be_named(live: Live) -> None:
    text = (
        '<settings><job_chain name="WALK">'
        '<order><params><param name="a"><![CDATA[<1>]]></param></params></order>'
        '<order id="1"><params><param name="b" value="2"/></params></order>'
        '<order id="2"><params><param name="c" value="3"/></params></order>'
        '</job_chain><job_chain name="other"><order>'
        '<params><param name="d" value="4"/></params></order></job_chain></settings>'
    )
    live.writes("sub/Walk.config.xml", text)
    params = live.reads().order_params
    assert (params["a"], params["b"]) == ("<1>", "2")
    assert not {"c", "d"} & set(params)


# --- substitution --------------------------------------------------------------------------------


def test_placeholders_are_looked_up_in_their_order_until_nothing_changes(live: Live) -> None:
    params = {
        "a": "${B}/x",
        "b": "${engine}-${task}-${FROM_HOST}",
        "c": "${unknown} $HOME ${}",
        "task": "order",
    }
    read = live.reads(
        params, engine_params={"Engine": "e"}, task_params={"task": "t", "own": "${a}"}
    )
    assert read.order_params["b"] == "e-order-host"
    assert read.order_params["a"] == "e-order-host/x"
    assert read.order_params["c"] == "${unknown} $HOME ${}"
    assert read.task_params["own"] == "e-order-host/x"


def test_circles_end(live: Live) -> None:
    read = live.reads({"a": "${b}", "b": "${a}", "c": "${c}${c}"})
    assert read.problem == ""
    assert len(read.order_params["c"]) < 10_000_000


def test_functions_take_a_params_value_or_a_path(live: Live) -> None:
    live.writes("text", "content\n")
    file = str(live.root / "text")
    params = {
        "file": file,
        "name": "${basename:FILE}",
        "text": "${file_content:file}",
        "direct": f"${{file_content:{file}}}",
        "nowhere": "${file_content:/not/there}",
    }
    read = live.reads(params).order_params
    assert read["name"] == "text"
    assert read["text"] == read["direct"] == "content"
    assert read["nowhere"] == "${file_content:/not/there}"


def test_a_file_of_properties_is_looked_up_too(live: Live) -> None:
    live.writes("global.properties", "# comment\nshared = yes \nbroken\n")
    path = str(live.root / "global.properties")
    read = live.reads({"a": "${shared}", "global_configuration_params": path})
    assert read.order_params["a"] == "yes"
    missing = live.reads({"global_configuration_params": "/not/there"})
    assert "/not/there" in missing.problem


def test_a_file_that_has_rested_is_parsed_once_until_it_changes(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[bytes] = []

    def counting(data: bytes, file: str) -> SettingsFile | Finding:
        parsed.append(data)
        return parse_node_settings(data, file)

    monkeypatch.setattr("engine.drivers.node_settings.parse_node_settings", counting)
    file = live.root / "sub" / "Walk.config.xml"

    def writes(value: str, at_s: int) -> None:
        live.writes("sub/Walk.config.xml", settings(node("100", f"a={value}")))
        os.utime(file, (at_s, at_s))

    writes("1", 1_000)
    assert live.reads().order_params["a"] == "1"
    assert live.reads(order="2").order_params["a"] == "1"
    assert "a" not in live.reads(state="200").order_params
    assert len(parsed) == 1
    writes("2", 1_001)
    assert live.reads().order_params["a"] == "2"
    assert live.reads().order_params["a"] == "2"
    assert len(parsed) == 2
    writes("3", int(time.time()))
    assert live.reads().order_params["a"] == "3"
    assert live.reads().order_params["a"] == "3"
    assert len(parsed) == 4, "it may change again within the same tick"
    file.unlink()
    assert "a" not in live.reads().order_params


def test_only_so_many_files_are_kept(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.drivers.node_settings.FILES_KEPT_MAX", 2)
    for number in range(4):
        live.writes(f"sub/Walk,{number}.config.xml", settings(node("100", f"a={number}")))
        os.utime(live.root / f"sub/Walk,{number}.config.xml", (1_000, 1_000))
    for number in (0, 1, 2, 3, 0):
        assert live.reads(order=str(number)).order_params["a"] == str(number)
