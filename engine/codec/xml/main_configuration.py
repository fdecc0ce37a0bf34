"""`scheduler.xml` -> settings, objects and start commands (live-folder.md 10).

Read once at start; with an error the engine does not start. `<base>` files are read first, and
what the later file says wins.
"""

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.codec.xml.command_schema import check_commands
from engine.codec.xml.definition_files import is_ours, read_element
from engine.codec.xml.definition_schema import DEFINITIONS
from engine.codec.xml.document import Document, parse_document, to_xml
from engine.codec.xml.findings import Element, Finding, Severity, tag_of
from engine.codec.xml.includes import read_params
from engine.codec.xml.queries import Permission
from engine.codec.xml.reading import Context, Reading
from engine.codec.xml.references import PathError, resolved
from engine.codec.xml.run_times import scheduler_holidays
from engine.codec.xml.schema import check
from engine.kernel.calendar import Holidays
from engine.kernel.commands import ObjectKind
from engine.kernel.definitions import Definition, Include, MainConfiguration
from engine.kernel.ids import folded_path
from engine.kernel.params import merge

BASE_DEPTH_MAX = 20
"""Deeper `<base>` files include one another in a circle."""
NODE_ORDER_PLUGIN = "com.sos.scheduler.engine.plugins.nodeorder.NodeOrderPlugin"
"""The one plug-in whose work this engine does itself."""

PORT_MAX = 65_535
_PORT = re.compile(r"(?:[^\s:]+:|\[[0-9a-fA-F:.]+\]:)?[0-9]{1,5}")

_CONTAINERS = {
    "process_classes": ObjectKind.PROCESS_CLASS,
    "locks": ObjectKind.LOCK,
    "schedules": ObjectKind.SCHEDULE,
    "monitors": ObjectKind.MONITOR,
    "jobs": ObjectKind.JOB,
    "job_chains": ObjectKind.CHAIN,
}
_CASELESS = frozenset([ObjectKind.JOB, ObjectKind.CHAIN])
_WITHOUT_EFFECT = {
    "cluster": "standby engines are set up in engine.toml",
    "script": "scripts of the whole engine are not carried out",
    "scheduler_script": "scripts of the whole engine are not carried out",
    "http_server": "own web services are not served",
    "web_services": "own web services are not served",
}


@dataclass(frozen=True, slots=True)
class PortSetting:
    """One attribute that says where to listen."""

    text: str
    """As written: a port number, for HTTP also `INTERFACE:PORT`, or an address."""
    place: str
    """File and line."""

    def named(self, name: str) -> str:
        """Return place, name and value, for messages."""
        return f'{self.place}: {name}="{self.text}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the original listened (xml-commands.md 1.1); a port 0 is none."""

    tcp_port: PortSetting | None = None
    udp_port: PortSetting | None = None
    http_port: PortSetting | None = None
    https_port: PortSetting | None = None
    ip_address: PortSetting | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedHost:
    """`<allowed_host>`: what requests from a host or network may do (xml-commands.md 1.6)."""

    host: str
    level: Permission


@dataclass(frozen=True, slots=True, kw_only=True)
class EventJobs:
    """Jobs that start when a file of the live folder comes, changes or goes (10.2)."""

    added: str | None = None
    modified: str | None = None
    deleted: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerXml:
    """Everything that `scheduler.xml` and its base files say."""

    main: MainConfiguration = MainConfiguration()
    definitions: tuple[Definition, ...] = ()
    keys: frozenset[tuple[ObjectKind, str]] = frozenset()
    """The objects' kinds and paths, those of jobs and chains folded."""
    start_commands: tuple[str, ...] = ()
    """XML of each command, carried out once after activation; an error ends the engine."""
    ports: Ports = Ports()
    allowed_hosts: tuple[AllowedHost, ...] | None = None
    """None: no `<security>`, so every host may do everything."""
    event_jobs: EventJobs = EventJobs()
    log_dir: str | None = None
    live_folder: str | None = None
    """`configuration_directory`, when it is not `live` beside the file."""
    central_folder: str | None = None
    supervisor: str | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What keeps the engine from starting."""
        return tuple(one for one in self.findings if one.severity is Severity.ERROR)


ReadBase = Callable[[str], bytes]
"""Reads a file by its path relative to the first `scheduler.xml`; raises OSError."""


def read_main_configuration(
    data: bytes, file: str, context: Context, read_base: ReadBase
) -> SchedulerXml:
    """Read a `scheduler.xml`; `context.folder` must be the root folder."""
    merging = _Merging(context, read_base)
    merging.read(data, file, depth=0)
    return merging.result()


class _Merging:
    """Collects what several files say, the later one winning."""

    def __init__(self, context: Context, read_base: ReadBase) -> None:
        self._context = context
        self._read_base = read_base
        self._found = SchedulerXml()
        self._definitions: dict[tuple[ObjectKind, str], Definition] = {}
        self._findings: list[Finding] = []

    def read(self, data: bytes, file: str, depth: int) -> None:
        """Read a file, its base files first."""
        document = parse_document(data, file)
        if isinstance(document, Finding):
            self._findings.append(document)
            return
        reading = Reading(document, self._context, document.findings())
        root = document.root
        if tag_of(root) != "spooler":
            reading.findings.error(
                root,
                f"The root element is <{tag_of(root)}>",
                code="SCHEDULER-409",
                advice="scheduler.xml begins with <spooler><config>",
            )
        else:
            check(root, "spooler", DEFINITIONS, reading.findings)
            config = self._config(reading, root)
            if config is not None:
                self._read_bases(reading, config, document, depth)
                self._read_config(reading, config)
        self._findings.extend(reading.findings.all)

    def result(self) -> SchedulerXml:
        """Return what all files together say."""
        return replace(
            self._found,
            definitions=tuple(self._definitions.values()),
            keys=frozenset(self._definitions),
            findings=tuple(self._findings),
        )

    def _config(self, reading: Reading, root: Element) -> Element | None:
        """Choose the `<config>` of this engine."""
        engine_id = self._context.engine_id
        configs = root.findall("config")
        ours = [one for one in configs if reading.text(one, "spooler_id") in ("", engine_id)]
        if not engine_id and len(configs) == 1:
            return configs[0]
        if not ours:
            reading.findings.error(
                root,
                f"There is no <config> for the engine {engine_id!r}",
                code="SCHEDULER-479",
                advice="Name this engine in spooler_id, or leave spooler_id out",
            )
            return None
        if len(ours) > 1:
            reading.findings.error(
                ours[1],
                f"There is more than one <config> for the engine {engine_id!r}",
                code="SCHEDULER-480",
                advice="Keep one of them",
            )
        return ours[0]

    def _read_bases(
        self, reading: Reading, config: Element, document: Document, depth: int
    ) -> None:
        for base in config.iterfind("base"):
            name = reading.substituted(base, "file")
            file = posixpath.join(posixpath.dirname(document.file), name)
            if depth >= BASE_DEPTH_MAX:
                reading.findings.error(
                    base,
                    "<base> files are nested too deep",
                    advice="Let no base file name itself",
                )
                return
            try:
                data = self._read_base(file)
            except OSError as error:
                reading.findings.error(
                    base,
                    f"The base file {name!r} cannot be read: {error.strerror or error}",
                    attribute="file",
                    code="SCHEDULER-399",
                    advice="Create the file or correct its name",
                )
                continue
            self.read(data, file, depth + 1)

    def _read_config(self, reading: Reading, config: Element) -> None:
        self._read_settings(reading, config)
        if self._found.main.include_path is not None:
            reading.context = _below(reading.context, self._found.main.include_path)
        self._read_main(reading, config)
        for container, kind in _CONTAINERS.items():
            for element in config.iterfind(f"{container}/{kind.value}"):
                self._define(reading, element, kind)
        commands = config.find("commands")
        if commands is not None:
            check_commands(commands, reading.findings)
            self._found = replace(
                self._found,
                start_commands=(
                    *self._found.start_commands,
                    *(to_xml(one) for one in commands.iterchildren("*")),
                ),
            )
        _warn(reading, config)

    def _read_settings(self, reading: Reading, config: Element) -> None:
        found = self._found
        jobs = EventJobs(
            added=reading.path(config, "configuration_add_event") or found.event_jobs.added,
            modified=reading.path(config, "configuration_modify_event")
            or found.event_jobs.modified,
            deleted=reading.path(config, "configuration_delete_event") or found.event_jobs.deleted,
        )
        security = config.find("security")
        self._found = replace(
            found,
            ports=_ports(reading, config, found.ports),
            event_jobs=jobs,
            allowed_hosts=found.allowed_hosts
            if security is None
            else _allowed_hosts(reading, security),
            log_dir=reading.substituted(config, "log_dir") or found.log_dir,
            live_folder=reading.substituted(config, "configuration_directory") or found.live_folder,
            central_folder=reading.optional(config, "central_configuration_directory")
            or found.central_folder,
            supervisor=reading.optional(config, "supervisor")
            or reading.optional(config, "main_scheduler")
            or found.supervisor,
            main=replace(
                found.main,
                include_path=reading.substituted(config, "include_path") or found.main.include_path,
            ),
        )

    def _read_main(self, reading: Reading, config: Element) -> None:
        main = self._found.main
        zone = reading.optional(config, "time_zone")
        if zone is not None and not _is_zone(zone):
            reading.refuse(config, "time_zone", "a name of the time-zone database, Europe/Berlin")
            zone = None
        classes = config.find("process_classes")
        holidays: Holidays | None = scheduler_holidays(reading, config)
        self._found = replace(
            self._found,
            main=replace(
                main,
                scheduler_id=self._context.engine_id
                or reading.text(config, "spooler_id")
                or main.scheduler_id,
                params=merge(main.params, read_params(reading, config)),
                time_zone=zone or main.time_zone,
                holidays=main.holidays if holidays is None else holidays,
                ignore_process_classes=main.ignore_process_classes
                or (classes is not None and reading.flag(classes, "ignore", False)),
            ),
        )

    def _define(self, reading: Reading, element: Element, kind: ObjectKind) -> None:
        if not is_ours(element, reading.context, reading.findings):
            return
        name = reading.text(element, "name").strip()
        if not name and kind is not ObjectKind.PROCESS_CLASS:
            if kind is ObjectKind.SCHEDULE:
                reading.findings.error(
                    element, "<schedule> needs the attribute 'name'", advice='Add name="…"'
                )
            return
        try:
            path = resolved(name) if name else ""
        except PathError as error:
            reading.findings.error(element, str(error), attribute="name", code="SCHEDULER-461")
            return
        key = (kind, folded_path(path) if kind in _CASELESS else path)
        if key in self._definitions:
            reading.findings.error(
                element,
                f"The {kind.value} {name!r} is defined twice",
                attribute="name",
                code="SCHEDULER-148" if kind is ObjectKind.JOB else "",
                advice="Remove or rename one of the two",
            )
            return
        self._definitions[key] = read_element(reading, element, kind, path)


def _ports(reading: Reading, config: Element, known: Ports) -> Ports:
    """Return the ports of a file; what it does not say is as its base files have it."""

    def given(name: str, *, with_interface: bool = False) -> PortSetting | None:
        text = reading.text(config, name).strip()
        if not text:
            return None
        if not _PORT.fullmatch(text) or int(text.rpartition(":")[2]) > PORT_MAX:
            reading.refuse(config, name, f"a port number, 1 to {PORT_MAX}, or 0 for none")
        elif ":" in text and not with_interface:
            reading.refuse(config, name, "a port number; the address stands in ip_address")
        else:
            return PortSetting(text, reading.findings.place(config, name))
        return None

    def open_port(setting: PortSetting | None, former: PortSetting | None) -> PortSetting | None:
        chosen = setting or former
        return None if chosen is None or not int(chosen.text.rpartition(":")[2]) else chosen

    address, both = reading.optional(config, "ip_address"), given("port")
    return Ports(
        tcp_port=open_port(given("tcp_port") or both, known.tcp_port),
        udp_port=open_port(given("udp_port") or both, known.udp_port),
        http_port=open_port(given("http_port", with_interface=True), known.http_port),
        https_port=open_port(given("https_port", with_interface=True), known.https_port),
        ip_address=known.ip_address
        if address is None
        else PortSetting(address, reading.findings.place(config, "ip_address")),
    )


def _below(context: Context, include_path: str) -> Context:
    """Let `<include file>` begin in the include path."""
    read = context.read_include

    def read_include(include: Include, *, beside_configuration: bool = False) -> bytes:
        if include.file is not None and not beside_configuration:
            include = Include(file=posixpath.join(include_path, include.file))
        return read(include, beside_configuration=beside_configuration)

    return replace(context, read_include=read_include)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _allowed_hosts(reading: Reading, security: Element) -> tuple[AllowedHost, ...]:
    levels: Mapping[str, Permission] = {one.name.lower(): one for one in Permission}
    return tuple(
        AllowedHost(
            host=reading.text(host, "host").strip(),
            level=levels.get(reading.text(host, "level"), Permission.NONE),
        )
        for host in security.iterfind("allowed_host")
    )


def _warn(reading: Reading, config: Element) -> None:
    """Tell what is read and has no effect."""
    for name in ("java_options", "java_class_path"):
        if config.get(name) is not None:
            reading.findings.error(
                config,
                f"The attribute {name!r} is not possible here",
                attribute=name,
                code="SCHEDULER-475",
                advice="Remove it",
            )
    for child in config.iterchildren("*"):
        why = _WITHOUT_EFFECT.get(tag_of(child))
        if why is not None:
            reading.findings.warning(
                child, f"<{tag_of(child)}> has no effect: {why}", advice="It may stay"
            )
    for plugin in config.iterfind("plugins/plugin"):
        if plugin.get("java_class") != NODE_ORDER_PLUGIN:
            reading.findings.warning(
                plugin,
                f"The plug-in {plugin.get('java_class')!r} is not known, so it does nothing",
                advice="It may stay",
            )
