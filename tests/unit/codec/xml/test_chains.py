"""Job chains from XML (orders-and-jobs.md chapter 1)."""

from engine.kernel.definitions import (
    AddedOrder,
    CodeRange,
    EndNode,
    FileOrderSource,
    JobNode,
    NestedNode,
    OnError,
    OnReturnCodes,
    SinkNode,
    Visible,
)
from engine.kernel.ids import NodeState, chain_key, job_key
from engine.kernel.instants import seconds
from tests.support.xml_files import chain, content, told

NODES = '<job_chain_node state="a" job="j"/><job_chain_node.end state="z"/>'


def states(inner: str) -> list[tuple[str, str | None]]:
    """Return each node's name with its successor."""
    return [(node.state, getattr(node, "next_state", None)) for node in chain(inner).nodes]


def test_a_chain_without_attributes_has_the_defaults_of_the_original() -> None:
    read = chain(NODES)
    assert read.path == "/f/c"
    assert read.orders_recoverable
    assert not read.distributed
    assert (read.max_orders, read.process_class, read.visible) == (None, None, Visible.YES)


def test_all_attributes_of_a_chain_are_read() -> None:
    read = chain(
        NODES,
        'name="C" title="T" visible="no" orders_recoverable="0" max_orders="3" '
        'process_class="p" file_watching_process_class="/q"',
    )
    assert (read.title, read.visible, read.orders_recoverable) == ("T", Visible.NO, False)
    assert (read.max_orders, read.process_class, read.file_watching_process_class) == (
        3,
        "/f/p",
        "/q",
    )


def test_all_attributes_of_a_node_are_read() -> None:
    read = chain(
        '<job_chain_node state="a" job="/X/J" next_state="z" error_state="e" on_error="setback" '
        'suspend="true" delay="00:01"/><job_chain_node state="e"/><job_chain_node.end state="z"/>'
    )
    assert read.nodes[0] == JobNode(
        state=NodeState("a"),
        job=job_key("/X/J"),
        job_path="/X/J",
        next_state=NodeState("z"),
        error_state=NodeState("e"),
        on_error=OnError.SETBACK,
        suspend=True,
        delay=seconds(60),
    )
    assert read.nodes[1:] == (EndNode(state=NodeState("e")), EndNode(state=NodeState("z")))


def test_a_missing_successor_is_the_next_node_of_the_document_whatever_it_is() -> None:
    inner = (
        '<job_chain_node state="100" job="j"/><job_chain_node.end state="ERROR"/>'
        '<job_chain_node.end state="SUCCESS"/>'
    )
    assert states(inner) == [("100", "ERROR"), ("ERROR", None), ("SUCCESS", None)]


def test_an_end_node_is_added_when_the_last_node_leads_nowhere() -> None:
    inner = '<job_chain_node state="a" job="j"/><job_chain_node state="b" job="j"/>'
    assert states(inner) == [("a", "b"), ("b", "<END_STATE>"), ("<END_STATE>", None)]


def test_no_end_node_is_added_when_the_last_node_leads_somewhere() -> None:
    assert states('<job_chain_node state="a" job="j" next_state="a"/>') == [("a", "a")]
    assert states('<job_chain_node state="a" job="j"/><file_order_sink state="s" remove="1"/>') == [
        ("a", "s"),
        ("s", None),
    ]


def test_an_empty_error_state_is_none() -> None:
    (node, _) = chain('<job_chain_node state="a" job="j" error_state=""/>').nodes
    assert isinstance(node, JobNode)
    assert node.error_state is None


def test_a_chain_without_nodes_is_read() -> None:
    assert chain("").nodes == ()


def test_return_codes_are_read_with_ranges_targets_and_added_orders() -> None:
    read = chain(
        '<job_chain_node state="a" job="j"><on_return_codes>'
        '<on_return_code return_code="1..3 7"><to_state state="z"/></on_return_code>'
        '<on_return_code return_code="0">'
        '<add_order xmlns="https://jobscheduler-plugins.sos-berlin.com/NodeOrderPlugin" '
        'job_chain="../X" id="${ORDER_ID}-2"><params><param name="p" value="$v"/></params>'
        "</add_order></on_return_code>"
        "</on_return_codes></job_chain_node>"
        '<job_chain_node.end state="z"/>'
    )
    (node, _) = read.nodes
    assert isinstance(node, JobNode)
    assert node.on_return_codes == (
        OnReturnCodes(
            codes=(CodeRange(first=1, last=3), CodeRange(first=7, last=7)),
            to_state=NodeState("z"),
        ),
        OnReturnCodes(
            codes=(CodeRange(first=0, last=0),),
            added_orders=(
                AddedOrder(chain=chain_key("/x"), id="${ORDER_ID}-2", params={"p": "$v"}),
            ),
        ),
    )


def test_elements_of_unknown_namespaces_are_ignored() -> None:
    chain(
        '<job_chain_node state="a" job="j"><on_return_codes><on_return_code return_code="0">'
        '<do xmlns="urn:other" this="that"/></on_return_code></on_return_codes></job_chain_node>'
    )


def test_a_chain_of_chains_is_read() -> None:
    read = chain(
        '<job_chain_node.job_chain state="A" job_chain="inner-a" error_state="E"/>'
        '<job_chain_node.job_chain state="B" job_chain="/inner-b"/>'
        '<job_chain_node.end state="E"/>'
    )
    assert read.is_nested
    assert read.nodes[0] == NestedNode(
        state=NodeState("A"),
        chain=chain_key("/f/inner-a"),
        chain_path="/f/inner-a",
        next_state=NodeState("B"),
        error_state=NodeState("E"),
    )


def test_file_order_sources_and_sinks_are_read() -> None:
    read = chain(
        '<file_order_source directory="$D/in" regex="[[:digit:]]" repeat="1" next_state="b" '
        'delay_after_error="5" alert_when_directory_missing="no" max="3"/>'
        '<file_order_source directory="/x" repeat="no"/><file_order_source directory="/y"/>'
        '<job_chain_node state="a" job="j"/><job_chain_node state="b" job="j"/>'
        '<file_order_sink state="s" move_to="$D/out" delay="2"/>',
        environment={"D": "/d"},
    )
    first, second, third = read.file_order_sources
    assert first == FileOrderSource(
        directory="/d/in",
        regex="[0-9]",
        next_state=NodeState("b"),
        repeat=seconds(1),
        delay_after_error=seconds(5),
        alert_when_directory_missing=False,
    )
    assert second.repeat is None
    assert third.repeat == seconds(10)
    assert read.nodes[-1] == SinkNode(state=NodeState("s"), move_to="/d/out", delay=seconds(2))


def test_distributed_chains_and_chains_without_room_are_read_with_a_warning() -> None:
    for attribute in ('distributed="yes"', 'max_orders="0"'):
        read = content("c.job_chain.xml", f"<job_chain {attribute}>{NODES}</job_chain>")
        assert read.definition is not None
        assert [one.severity.value for one in read.findings] == ["warning"]


def test_several_faults_of_a_chain_are_told_at_once() -> None:
    text = (
        "<job_chain>\n"
        '<job_chain_node state="a" job="j" next_state="ed"/>\n'
        '<job_chain_node state="a" job="j"/>\n'
        '<file_order_sink state="s"/>\n'
        '<job_chain_node.end state="end"/>\n'
        "</job_chain>"
    )
    assert told("c.job_chain.xml", text) == [
        (
            "c.job_chain.xml:2:35: error: SCHEDULER-149 The job chain has no node 'ed'. "
            "Did you mean 'end'?"
        ),
        (
            "c.job_chain.xml:3:17: error: SCHEDULER-150 The job chain has more than one node 'a'. "
            "Give each node a state of its own"
        ),
        (
            "c.job_chain.xml:4:1: error: <file_order_sink> needs either remove or move_to. "
            'Write remove="yes" or move_to="DIRECTORY"'
        ),
    ]
