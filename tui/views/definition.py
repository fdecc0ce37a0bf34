"""What a file or a command said of an object, as XML."""

from xml.sax.saxutils import quoteattr

from engine.kernel.definitions import OrderDefinition, Source
from engine.kernel.ids import ChainKey, ClassPath, JobKey, LockPath, OrderKey
from engine.kernel.state import State
from tui.views.text import Line, Span, clean, line


def source_of(state: State, noun: str, key: object) -> tuple[str, Source | None] | None:
    """Return an object's path and the file it came from; None when there is no such object."""
    match noun, key:
        case ("jobs", str()):
            job = state.jobs.get(JobKey(key))
            return None if job is None else (job.definition.path, job.definition.source)
        case ("chains", str()):
            chain = state.chains.get(ChainKey(key))
            return None if chain is None else (chain.definition.path, chain.definition.source)
        case ("locks", str()):
            lock = state.locks.get(LockPath(key))
            return None if lock is None else (lock.definition.path, lock.definition.source)
        case ("classes", str()):
            known = state.process_classes.get(ClassPath(key))
            return None if known is None else (known.definition.path, known.definition.source)
        case (_, OrderKey()):
            order = state.orders.get(key)
            return None if order is None else (str(key), order.definition.source)
        case _:
            return None


def definition_lines(state: State, noun: str, key: object) -> list[Line]:
    """Return the definition of an object as lines; empty when there is none to show."""
    found = source_of(state, noun, key)
    if found is None:
        return []
    path, source = found
    lines: list[Line] = []
    if source is not None and source.xml:
        lines.append(line(Span(f" {clean(source.file)}", "dim")))
        text = source.xml
    elif isinstance(key, OrderKey):
        lines.append(line(Span(" placed by a command; as a command it would be", "dim")))
        text = order_xml(state.orders[key].definition)
    else:
        said = "from scheduler.xml or built in: there is no file of its own"
        return [line(Span(f" {clean(path)}: {said}", "dim"))]
    from engine.codec.xml.secrets import masked  # noqa: PLC0415  # only where somebody looks

    lines.append(())
    lines += [line(f" {clean(row)}") for row in masked(text).strip("\n").split("\n")]
    return lines


def order_xml(definition: OrderDefinition) -> str:
    """Return the command that places an order like this one."""
    given = {
        "job_chain": definition.key.chain,
        "id": definition.key.id,
        "title": definition.title,
        "priority": str(definition.priority) if definition.priority else "",
        "state": definition.state or "",
        "end_state": definition.end_state or "",
        "suspended": "yes" if definition.suspended else "",
    }
    words = "".join(f" {name}={quoteattr(value)}" for name, value in given.items() if value)
    if not definition.params:
        return f"<add_order{words}/>"
    params = "".join(
        f"\n    <param name={quoteattr(name)} value={quoteattr(value)}/>"
        for name, value in definition.params.items()
    )
    return f"<add_order{words}>\n  <params>{params}\n  </params>\n</add_order>"
