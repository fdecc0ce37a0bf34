"""Reading definitions from XML text, for tests of readers."""

from collections.abc import Mapping
from datetime import UTC, tzinfo

from engine.codec.xml.commands import Action, ParsedCommand, parse_commands
from engine.codec.xml.definition_files import FileContent, file_name, read_definition
from engine.codec.xml.reading import Context, IncludeReader
from engine.codec.xml.substitution import Variables
from engine.kernel.commands import AddOrder, ApplyDefinitions
from engine.kernel.definitions import Chain, Definition, Include, Job, OrderDefinition
from engine.kernel.instants import Instant
from engine.kernel.params import Params
from engine.kernel.problems import Problem

SCRIPT = '<script language="shell">exit 0</script>'


def files(contents: Mapping[str, str | bytes]) -> IncludeReader:
    """Return a reader of includes that knows these files; live files begin with a slash."""

    def read(include: Include, *, beside_configuration: bool = False) -> bytes:
        name = include.live_file or include.file or ""
        if name not in contents:
            raise FileNotFoundError(2, "No such file", name)
        content = contents[name]
        return content if isinstance(content, bytes) else content.encode()

    return read


def content(
    name: str,
    text: str | bytes,
    *,
    environment: Mapping[str, str] | None = None,
    includes: Mapping[str, str | bytes] | None = None,
    zone: tzinfo = UTC,
    engine_id: str = "",
) -> FileContent:
    """Read a file of the live folder."""
    parsed = file_name(name)
    assert parsed is not None, f"{name} is no definition file"
    context = Context(
        zone=zone,
        folder=parsed.folder,
        environment=Variables(environment or {}),
        read_include=files(includes or {}),
        engine_id=engine_id,
    )
    data = text if isinstance(text, bytes) else text.encode()
    return read_definition(data, parsed, context, Instant(1_000))


def definition(name: str, text: str | bytes, **more: Mapping[str, str]) -> Definition:
    """Read a file that must have no error."""
    read = content(name, text, environment=more.get("environment"), includes=more.get("includes"))
    assert read.definition is not None, [str(one) for one in read.findings]
    return read.definition


def job(inner: str = SCRIPT, attributes: str = "", **more: Mapping[str, str]) -> Job:
    """Read a job of the folder `/f`."""
    read = definition("f/j.job.xml", f"<job {attributes}>{inner}</job>", **more)
    assert isinstance(read, Job)
    return read


def chain(inner: str, attributes: str = "", **more: Mapping[str, str]) -> Chain:
    """Read a job chain of the folder `/f`."""
    read = definition("f/c.job_chain.xml", f"<job_chain {attributes}>{inner}</job_chain>", **more)
    assert isinstance(read, Chain)
    return read


def order(inner: str = "", attributes: str = "", **more: Mapping[str, str]) -> OrderDefinition:
    """Read an order of the chain `/f/c`."""
    read = definition("f/c,1.order.xml", f"<order {attributes}>{inner}</order>", **more)
    assert isinstance(read, OrderDefinition)
    return read


def told(name: str, text: str | bytes, **more: Mapping[str, str]) -> list[str]:
    """Return the findings of a file, each as text."""
    read = content(name, text, environment=more.get("environment"), includes=more.get("includes"))
    return [str(one) for one in read.findings]


def parsed(
    xml: str | bytes,
    *,
    variables: Params | None = None,
    environment: Mapping[str, str] | None = None,
    zone: tzinfo = UTC,
    copied: Mapping[str, Params] | None = None,
) -> tuple[ParsedCommand, ...] | Problem:
    """Parse commands as the engine does."""
    context = Context(
        zone=zone, environment=Variables(variables or {}, environment or {}), copied=copied
    )
    return parse_commands(xml if isinstance(xml, bytes) else xml.encode(), context)


def action(xml: str, **more: Params) -> Action:
    """Parse one command that the schema accepts, and return what it asks for."""
    commands = parsed(xml, variables=more.get("variables"), environment=more.get("environment"))
    assert not isinstance(commands, Problem), str(commands)
    assert len(commands) == 1
    return commands[0].action


def added(xml: str) -> OrderDefinition:
    """Return the order that a command adds."""
    request = action(xml)
    assert isinstance(request, AddOrder)
    return request.order


def defined(xml: str) -> Definition:
    """Return the object that a command defines."""
    request = action(xml)
    assert isinstance(request, ApplyDefinitions)
    return request.defined[0]
