"""A file of the live folder -> one definition (live-folder.md 2 and 4)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from engine.codec.xml.chains import read_chain
from engine.codec.xml.definition_schema import DEFINITIONS
from engine.codec.xml.document import parse_document, to_xml
from engine.codec.xml.findings import Element, Finding, Findings, tag_of
from engine.codec.xml.jobs import read_job
from engine.codec.xml.locks_and_classes import read_lock, read_process_class
from engine.codec.xml.monitors import read_monitor
from engine.codec.xml.orders import read_order
from engine.codec.xml.reading import Context, Reading
from engine.codec.xml.run_times import schedule_of
from engine.codec.xml.schema import check
from engine.kernel.commands import ObjectKind, ObjectRef
from engine.kernel.definitions import Definition, Source
from engine.kernel.ids import OrderId, OrderKey, chain_key, folded_path
from engine.kernel.instants import Instant

EXTENSIONS: Mapping[str, ObjectKind] = MappingProxyType(
    {f".{kind.value}.xml": kind for kind in ObjectKind}
)
_CASELESS = frozenset([ObjectKind.JOB, ObjectKind.CHAIN])
_ROOTS: Mapping[ObjectKind, tuple[str, ...]] = MappingProxyType(
    {
        **{kind: (kind.value,) for kind in ObjectKind},
        ObjectKind.ORDER: ("order", "add_order"),
        ObjectKind.SCHEDULE: ("schedule", "run_time"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileName:
    """What the path of a definition file says."""

    file: str
    """The path below the live folder, `folder/name.job.xml`."""
    kind: ObjectKind
    folder: str
    """`/`, or `/folder/sub`."""
    name: str
    """Everything before the extension; of orders `CHAIN,ID`."""

    @property
    def path(self) -> str:
        """The object's absolute path as written."""
        return f"{self.folder.rstrip('/')}/{self.name}"

    @property
    def ref(self) -> ObjectRef:
        """The object's name for the kernel."""
        return ObjectRef(kind=self.kind, path=self.path)

    @property
    def key(self) -> tuple[ObjectKind, str]:
        """Equal for two files that define one object: names of jobs and chains have no case."""
        if self.kind in _CASELESS:
            return self.kind, folded_path(self.path)
        if self.kind is ObjectKind.ORDER:
            chain, comma, order_id = self.name.partition(",")
            folder = self.folder.rstrip("/")
            return self.kind, f"{folder}/{chain.casefold()}{comma}{order_id}"
        return self.kind, self.path

    @property
    def order_key(self) -> OrderKey | None:
        """The order that an order file names; None when chain or id is missing."""
        chain, _, order_id = self.name.partition(",")
        if not chain or not order_id:
            return None
        return OrderKey(chain_key(chain, self.folder), OrderId(order_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContent:
    """What the content of a definition file says."""

    definition: Definition | None
    """None when the file has errors, or belongs to another engine (`spooler_id`)."""
    findings: tuple[Finding, ...] = ()
    live_files: tuple[str, ...] = ()
    """Files below the live folder whose change changes this object."""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What makes the file unusable."""
        return tuple(one for one in self.findings if one.severity.value == "error")


def file_name(file: str) -> FileName | None:
    """Return what a path below the live folder names; None when it is no object's file."""
    folder, _, base = file.rpartition("/")
    for extension, kind in EXTENSIONS.items():
        if base.endswith(extension) and len(base) > len(extension):
            return FileName(file=file, kind=kind, folder=f"/{folder}", name=base[: -len(extension)])
    return None


def read_definition(
    data: bytes, name: FileName, context: Context, modified_at: Instant
) -> FileContent:
    """Read a definition file; `context.folder` must be the folder of the file."""
    document = parse_document(data, name.file)
    if isinstance(document, Finding):
        return FileContent(definition=None, findings=(document,))
    findings = document.findings()
    root = document.root
    if tag_of(root) not in _ROOTS[name.kind]:
        findings.error(
            root,
            f"The root element is <{tag_of(root)}>",
            code="SCHEDULER-409",
            advice=f"A *.{name.kind.value}.xml file begins with <{name.kind.value}>",
        )
        return FileContent(definition=None, findings=findings.all)
    check(root, name.kind.value, DEFINITIONS, findings)
    if not is_ours(root, context, findings):
        return FileContent(definition=None, findings=findings.all)
    _check_names(root, name, findings)
    source = Source(file=name.file, modified_at=modified_at, xml=to_xml(root))
    reading = Reading(document, context, findings)
    definition = _definition(reading, root, name, source)
    return FileContent(
        definition=None if findings.has_errors else definition,
        findings=findings.all,
        live_files=tuple(reading.live_files),
    )


_Reader = Callable[[Reading, Element, str, Source | None], Definition]
_READERS: Mapping[ObjectKind, _Reader] = MappingProxyType(
    {
        ObjectKind.JOB: read_job,
        ObjectKind.CHAIN: read_chain,
        ObjectKind.PROCESS_CLASS: read_process_class,
        ObjectKind.LOCK: read_lock,
        ObjectKind.MONITOR: read_monitor,
        ObjectKind.SCHEDULE: schedule_of,
    }
)


def read_element(
    reading: Reading, element: Element, kind: ObjectKind, path: str, source: Source | None = None
) -> Definition:
    """Return the object of any kind but orders that an element defines."""
    return _READERS[kind](reading, element, path, source)


def _definition(
    reading: Reading, root: Element, name: FileName, source: Source
) -> Definition | None:
    if name.kind is not ObjectKind.ORDER:
        return read_element(reading, root, name.kind, name.path, source)
    key = name.order_key
    if key is None:
        reading.findings.error(
            root,
            f"The file name {name.file!r} names no job chain and order",
            code="SCHEDULER-435",
            advice="Name the file JOBCHAIN,ORDERID.order.xml",
        )
        return None
    return read_order(reading, root, key, source)


def is_ours(root: Element, context: Context, findings: Findings) -> bool:
    """Tell whether the object is meant for this engine (orders-and-jobs.md 0.1)."""
    engine_id = str(root.get("spooler_id", "")).strip()
    if engine_id in ("", context.engine_id):
        return True
    findings.warning(
        root,
        f"The object is only for the engine {engine_id!r}, so it is not loaded",
        attribute="spooler_id",
        advice="Remove spooler_id if it is for this one too",
    )
    return False


def _check_names(root: Element, name: FileName, findings: Findings) -> None:
    """Compare the names inside the file with the file's name."""
    if str(root.get("replace", "yes")).strip() in ("no", "false", "0"):
        findings.error(
            root,
            'replace="no" is not possible in a file',
            attribute="replace",
            code="SCHEDULER-232",
            advice="Remove the attribute: a changed file always replaces the object",
        )
    if name.kind is ObjectKind.ORDER:
        chain, _, order_id = name.name.partition(",")
        _check_name(root, "job_chain", chain, "SCHEDULER-437", findings)
        _check_name(root, "id", order_id, "SCHEDULER-436", findings)
    else:
        _check_name(root, "name", name.name, "SCHEDULER-429", findings)
    if not _is_latin(name.name):
        findings.error(
            root,
            "The file name has characters that are not in ISO-8859-1",
            code="SCHEDULER-417",
            advice="Rename the file",
        )


def _check_name(
    root: Element, attribute: str, expected: str, code: str, findings: Findings
) -> None:
    given = root.get(attribute)
    if given is None or not expected:
        return
    last = str(given).rpartition("/")[2] if attribute == "job_chain" else str(given)
    agrees = last == expected if attribute == "id" else last.casefold() == expected.casefold()
    if not agrees:
        findings.error(
            root,
            f"{attribute}={given!r} is not what the file name says, {expected!r}",
            attribute=attribute,
            code=code,
            advice="Remove the attribute, or rename the file",
        )


def _is_latin(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
