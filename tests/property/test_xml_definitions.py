"""Definitions written as XML and read again; substitution against a simple model."""

from xml.sax.saxutils import quoteattr

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.codec.xml.references import PathError, resolved
from engine.codec.xml.substitution import Variables
from engine.kernel.definitions import (
    Chain,
    CodeRange,
    EndNode,
    JobNode,
    NestedNode,
    Node,
    OnError,
    OnReturnCodes,
    SinkNode,
)
from engine.kernel.ids import NodeState, chain_key, job_key
from engine.kernel.instants import Duration
from tests.support.xml_files import chain, content, job, order

LATIN = st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")
TEXTS = st.text(LATIN.filter(lambda one: not "\x7f" <= one <= "\x9f"), max_size=20)
NAMES = st.text(st.sampled_from("abcXYZ019-_.ü"), min_size=1, max_size=6)
PATHS = st.lists(NAMES.filter(lambda one: set(one) != {"."}), min_size=1, max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)
DELAYS = st.integers(0, 10_000).map(lambda count: Duration(count * 1000))


@st.composite
def chains(draw: st.DrawFn) -> tuple[Node, ...]:
    """Draw the nodes of a chain, completed as the reader completes them."""
    states = [NodeState(one) for one in draw(st.lists(NAMES, min_size=2, max_size=6, unique=True))]
    *inner, last = states
    nested = draw(st.booleans())
    targets = st.sampled_from(states)
    nodes: list[Node] = []
    for state in inner:
        path = draw(PATHS)
        suspend, delay = draw(st.booleans()), draw(DELAYS)
        next_state, error_state = draw(targets), draw(st.none() | targets)
        if nested:
            nodes.append(
                NestedNode(
                    state=state,
                    chain=chain_key(f"/n{path}"),
                    chain_path=f"/n{path}",
                    next_state=next_state,
                    error_state=error_state,
                    suspend=suspend,
                    delay=delay,
                )
            )
            continue
        nodes.append(
            JobNode(
                state=state,
                job=job_key(path),
                job_path=path,
                next_state=next_state,
                error_state=error_state,
                on_error=draw(st.none() | st.sampled_from(OnError)),
                suspend=suspend,
                delay=delay,
                on_return_codes=draw(st.just(()) | return_codes(targets)),
            )
        )
    nodes.append(
        EndNode(state=last)
        if nested or draw(st.booleans())
        else SinkNode(state=last, move_to=draw(PATHS))
    )
    return tuple(nodes)


@st.composite
def return_codes(
    draw: st.DrawFn, targets: st.SearchStrategy[NodeState]
) -> tuple[OnReturnCodes, ...]:
    """Draw lists of return codes that do not overlap."""
    limits = sorted(draw(st.lists(st.integers(-500, 500), min_size=2, max_size=6, unique=True)))
    pairs = zip(limits[::2], limits[1::2], strict=False)
    return tuple(
        OnReturnCodes(codes=(CodeRange(first=first, last=last),), to_state=draw(targets))
        for first, last in pairs
    )


def written(nodes: tuple[Node, ...]) -> str:
    """Write nodes as a person would."""
    return "".join(_written(node) for node in nodes)


def _written(node: Node) -> str:
    def attributes(**named: object) -> str:
        return " ".join(
            f"{name}={quoteattr(str(value))}" for name, value in named.items() if value is not None
        )

    match node:
        case EndNode():
            return f"<job_chain_node.end {attributes(state=node.state)}/>"
        case SinkNode():
            return f"<file_order_sink {attributes(state=node.state, move_to=node.move_to)}/>"
        case NestedNode() | JobNode():
            suspended = "yes" if node.suspend else "false"
            shared = attributes(
                state=node.state,
                next_state=node.next_state,
                error_state=node.error_state,
                suspend=suspended,
                delay=node.delay // 1000,
            )
    if isinstance(node, NestedNode):
        named = attributes(job_chain=node.chain_path)
        return f"<job_chain_node.job_chain {shared} {named}/>"
    codes = "".join(
        f'<on_return_code return_code="{one.codes[0].first}..{one.codes[0].last}">'
        f"<to_state {attributes(state=one.to_state)}/></on_return_code>"
        for one in node.on_return_codes
    )
    on_error = None if node.on_error is None else node.on_error.value
    return (
        f"<job_chain_node {shared} {attributes(job=node.job_path, on_error=on_error)}>"
        f"<on_return_codes>{codes}</on_return_codes></job_chain_node>"
    )


@settings(max_examples=200, deadline=None)
@given(chains(), TEXTS)
def test_a_chain_that_was_written_is_read_as_it_was(nodes: tuple[Node, ...], title: str) -> None:
    read = chain(written(nodes), f"title={quoteattr(title)}")
    assert isinstance(read, Chain)
    assert read.nodes == nodes
    assert read.title == title


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES.map(str.casefold), TEXTS, max_size=5))
def test_parameters_survive_escaping(params: dict[str, str]) -> None:
    def escaped(value: str) -> str:
        return quoteattr(value.replace("\\$", "\\\\$").replace("$", "\\$"))

    inner = "".join(
        f"<param name={quoteattr(name)} value={escaped(value)}/>" for name, value in params.items()
    )
    expected = {name: value for name, value in params.items() if "\\$" not in value}
    read = order(f"<params>{inner}</params>").params
    assert {name: read[name] for name in expected} == expected
    assert list(read) == list(params)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=100))
def test_any_script_survives_a_cdata_section(script: str) -> None:
    legal = "".join(
        one
        for one in script
        if one in "\t\n" or " " <= one <= "\ud7ff" or "\ue000" <= one <= "\ufffd" or one > "\uffff"
    ).replace("]]>", "")
    if not legal.strip():
        return
    read = job(f'<script language="shell"><![CDATA[{legal}]]></script>').script
    assert getattr(read, "parts")[0].text == legal  # noqa: B009 - one of several kinds


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("$\\{}aB_1 "), max_size=12))
def test_substitution_never_fails_and_leaves_texts_without_dollar_alone(text: str) -> None:
    result = Variables({"a": "1", "AB": "2"}).substituted(text)
    if "$" not in text:
        assert result == text
    assert len(result) <= len(text)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab./"), max_size=12), PATHS)
def test_a_resolved_path_stays_below_the_root_and_is_resolved_once(path: str, folder: str) -> None:
    try:
        absolute = resolved(path, folder)
    except PathError:
        return
    assert absolute.startswith("/")
    assert not {".", "..", ""} & set(absolute.split("/")[1:] if absolute != "/" else [])
    assert resolved(absolute, "/elsewhere") == absolute


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_file_gives_a_definition_or_findings(data: bytes) -> None:
    for name in ("a.job.xml", "c,1.order.xml", "s.schedule.xml"):
        for text in (data, b"<job>" + data + b"</job>"):
            read = content(name, text)
            assert (read.definition is None) == bool(read.errors)
