"""The words exchanged with a remote host: shell programs sent on stdin, and their answers.

Nothing that comes from a parameter ever stands in a command line or in unquoted shell text: the
remote command is always the plain words `/bin/sh -s`, every value travels on its stdin, in single
quotes, where nothing is special (ssh-and-jitl.md 2.10.7). A program begins to work only after its
last line has arrived, because it is one function that is called at its end; half a program does
nothing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from engine.errors import SshError
from engine.kernel.sessions.exports import RETURNED_LENGTH_MAX
from engine.kernel.sessions.identity import RunToken, fields_of, is_start_mark
from engine.kernel.sessions.verdicts import (
    LEADERLESS,
    Alive,
    Bad,
    Gone,
    Leader,
    Member,
    NoRecord,
    Reason,
    Scope,
    Unknown,
    Unsure,
    Verdict,
)

SHELL = "/bin/sh"
"""What runs our programs on the remote side; a host may be set to another POSIX shell."""

CHUNK_MAX = 256 * 1024
"""Most bytes of a stream asked for at once, so that a loud job cannot fill our memory."""

RECORD_LENGTH_MAX = 1000
"""Characters of the line by which a run is known again."""

NO_GROUP = "9999999999"
"""In a record: the run has no group of its own, only its token counts."""

NEXT = "next"
"""What a launched program is told when it shall make room for the next one."""

_PLAIN_WORDS = re.compile(r"/[A-Za-z0-9_./+-]+( [A-Za-z0-9_./+-]+)*\Z")
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9_./+@-]+\Z")
_BEGIN = re.compile(r"JS-BEGIN (js-[a-z2-7]{20}) (made|exists|absent|nowhere|failed) ?(.*)\Z")
_REPLY = re.compile(r"JS-REPLY (-|gone|refused|\d{1,3}) (yes|no|-) (\d+) (\d+) (\d+) (\d+)\Z")
_SIGNALS = frozenset(
    {"check", "TERM", "KILL", "HUP", "INT", "QUIT", "STOP", "CONT", "USR1", "USR2"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """What a run's directory is made of."""

    commands: Sequence[str]
    """Shell text of each command, in their order."""
    environment: str = ""
    """Shell text that sets the variables; secret."""
    variables_are_harmless: bool = False
    """None of them means anything to a shell or a program of ours."""
    script: str | None = None
    arguments: str = ""
    """Of the script, as shell text."""
    ignored_codes: str = ""
    """Exit codes after which the next command may run; `*` for all."""
    stderr_stops: bool = True
    began: int = 0
    """Seconds since 1970."""
    pid_command: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """The answer to a launch."""

    how: str
    """`made`, `exists`, `absent`, or `nowhere`: no folder can be written."""
    umask: str
    directory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyHead:
    """What follows on the channel: so many bytes of each."""

    result: int | None
    refused: bool
    vanished: bool
    """The directory is not there any more."""
    leader_lives: bool | None
    """None: the host does not say so cheaply."""
    out: int
    err: int
    returned: int
    identity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One look at a run, or one blow."""

    directory: str
    act: str = "check"
    """`check`, or the name of a signal without SIG."""
    scope: Scope = Scope.TOKEN
    expect: str = "any"
    """`verdict/leader` as it was shown; when the host shows another, nothing is sent."""
    rounds: int = 1
    """How often the scope is looked at and signalled while something is left."""
    user: str = ""
    custom: str | None = None
    """The job's own command instead of the signal."""
    children: str | None = None
    active: str | None = None
    record: str = ""
    """Of a run without a directory; `unknown` when nothing but its token is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlAnswer:
    """What a look or a blow has found."""

    verdict: Verdict
    after: str
    """Verdict after the last signal; the same as before when none was sent."""
    signalled: bool
    changed: bool
    """Nothing was sent, because the host shows something else than was expected."""
    vetoed: bool = False
    """Alive only because the job's own command says so."""


def shell_command(shell: str = SHELL) -> str:
    """Return the command that runs a program from its stdin: plain words for any login shell."""
    if _PLAIN_WORDS.match(shell) is None:
        raise SshError(f"{shell!r} cannot be the remote shell; write a path and plain words")
    return f"{shell} -s"


def attached_command(begun: Begun, shell: str) -> str:
    """Return the command that starts a prepared run on this very channel."""
    if _PLAIN_PATH.match(begun.directory) is None:
        raise SshError(f"attached runs need a plain path, not {begun.directory!r}")
    return f"{shell} {begun.directory}/run {begun.directory} {begun.umask} - {shell}"


def launch_program(
    token: RunToken, *, files: RunFiles | None, folder: str | None, mode: str, shell: str = SHELL
) -> bytes:
    """Return the program that makes a run and answers for it.

    Mode `start` makes and starts it, unless it exists already; `prepare` only makes it; `attach`
    only answers; `claim` takes its name, so that it can never be started.
    """
    values = _launch_values(token, files=files, folder=folder, mode=mode, shell=shell)
    return (values + _program("launch.sh")).encode()


def next_launch(
    token: RunToken, *, files: RunFiles | None, folder: str | None, mode: str, shell: str = SHELL
) -> bytes:
    """Return what a shell that has run a launch program needs for another run."""
    values = _launch_values(token, files=files, folder=folder, mode=mode, shell=shell)
    return (f"{NEXT}\n{values}js_main\n").encode()


def _launch_values(
    token: RunToken, *, files: RunFiles | None, folder: str | None, mode: str, shell: str
) -> str:
    parts = [
        f"js_token={token} js_mode={mode} js_rv_max={RETURNED_LENGTH_MAX + 1} js_shell='{shell}'\n",
        _value("js_folder", folder or ""),
        "js_files() {\n",
    ]
    # Variables that mean nothing to a shell or a program of ours are handed on as such: they never
    # are in a file. The others wait in one until only the job can be confused by them.
    is_inherited = mode == "start" and files is not None and files.variables_are_harmless
    if files is not None:
        parts.append(_run_file(files))
        parts += [_file(f"cmd.{n}", text) for n, text in enumerate(files.commands, 1)]
        if files.environment and not is_inherited:
            parts.append(_file("env", 'rm -f "$js_d/env"\n' + files.environment))
        if files.pid_command is not None:
            parts.append(_file("pidcmd", files.pid_command))
        if files.script is not None:
            parts.append(_file("script", files.script) + 'chmod 700 "$js_d/script" || return 1\n')
    parts += ["return 0\n", "}\n", "js_variables() {\n"]
    if files is not None and is_inherited:
        parts.append(files.environment)
    parts += ["return 0\n", "}\n"]
    return "".join(parts)


def bare_program(token: RunToken, *, files: RunFiles, shell: str = SHELL) -> bytes:
    """Return the program of a run that has no directory; it waits for the line `go`."""
    works = [(shell, "", text) for text in files.commands]
    if files.script is not None:
        works = [(_interpreter(files.script, shell), files.arguments, files.script)]
    values = f"js_token={token} js_began={files.began} js_commands={len(works)}"
    ignored = f" js_ignored='{files.ignored_codes}'\n"
    parts = [values, ignored, "js_variables() {\n", files.environment, "return 0\n}\n"]
    end = f"JS_END_{token}"
    for number, (program, arguments, text) in enumerate(works, 1):
        if "\0" in text or end in text:
            raise SshError("a zero byte cannot be sent to a remote shell")
        body = text if text.endswith("\n") or not text else text + "\n"
        call = f"{program} /dev/fd/3 {arguments}".rstrip()
        parts.append(f"js_command_{number}() {{\n{call} </dev/null 3<<'{end}'\n{body}{end}\n}}\n")
    return ("".join(parts) + _program("bare.sh")).encode()


def parse_bare(line: str, token: RunToken) -> str | None:
    """Read the record of a run without a directory; None for whatever a login shell prints.

    Raises SshError for a run that could not be told from others.
    """
    begin = f"JS-BARE {token} "
    if not line.startswith(begin):
        return None
    record = line.removeprefix(begin).strip()
    if len(record) > RECORD_LENGTH_MAX:
        raise SshError("no folder can be written on the host, and its answer makes no sense")
    known = fields_of(record)
    is_proven = known.get("pgid") in {known.get("pid"), NO_GROUP}
    if not is_proven or not known.get("pid", "").isdigit():
        raise SshError("no folder can be written on the host, and a run gets no group of its own")
    return record


def ask(out: int, err: int, most: int = CHUNK_MAX) -> bytes:
    """Return the line that asks a launched program for output from these offsets on."""
    return f"{out} {err} {most}\n".encode()


def control_program(control: Control, shell: str = SHELL) -> bytes:
    """Return the program that looks at a run, and signals it when told to."""
    if control.act not in _SIGNALS or re.fullmatch(r"any|[a-z]+/[a-z]+", control.expect) is None:
        raise SshError(f"{control.act!r} is no signal that may be sent")
    head = (
        f"js_act={control.act} js_scope={control.scope.value} js_expect={control.expect} "
        f"js_rounds={control.rounds} js_shell='{shell}'\n"
    )
    values = "".join(
        _value(name, text or "")
        for name, text in (
            ("js_d", control.directory),
            ("js_user", control.user),
            ("js_custom", control.custom),
            ("js_children", control.children),
            ("js_active", control.active),
            ("js_record", control.record),
        )
    )
    return (head + values + _program("control.sh")).encode()


def probe_program(folders: Sequence[str] = ()) -> bytes:
    """Return the program that prints the host's processes and runs."""
    return (_value("js_bases", "\n".join(folders)) + _program("probe.sh")).encode()


def reap_program(directories: Sequence[str]) -> bytes:
    """Return the program that removes the directories of finished runs."""
    return (_value("js_directories", "\n".join(directories)) + _program("reap.sh")).encode()


def one_process_program(pid: int, start: str, act: str) -> bytes:
    """Return the program that signals a single process, if it still is the one meant."""
    if act not in _SIGNALS or pid <= 1 or not is_start_mark(start):
        raise SshError("only a process with a start mark and a number above 1 may be signalled")
    return (f"js_pid={pid} js_start={start} js_act={act}\n" + _program("one.sh")).encode()


def parse_begin(line: str, token: RunToken) -> Begun | None:
    """Read the greeting of a launch; None for whatever else a login shell prints.

    Raises SshError with the host's reason when the run could not be made.
    """
    found = _BEGIN.match(line)
    if found is None or found[1] != token:
        return None
    if found[2] == "failed":
        raise SshError(f"the run cannot be started on the host: {found[3]}")
    umask, _, directory = found[3].partition(" ")
    if re.fullmatch("[0-7]{3,5}", umask) is None:
        umask = "022"
    return Begun(how=found[2], umask=umask, directory=directory)


def parse_reply(line: str) -> ReplyHead | None:
    """Read the line before an answer's bytes; None when it is none."""
    found = _REPLY.match(line)
    if found is None:
        return None
    out, err, returned, identity = (int(found[n]) for n in range(3, 7))
    if max(out, err) > CHUNK_MAX or returned > RETURNED_LENGTH_MAX + 1 or identity > 4096:
        return None
    return ReplyHead(
        result=int(found[1]) if found[1].isdigit() else None,
        refused=found[1] == "refused",
        vanished=found[1] == "gone",
        leader_lives={"yes": True, "no": False}.get(found[2]),
        out=out,
        err=err,
        returned=returned,
        identity=identity,
    )


def parse_control(text: str) -> ControlAnswer:
    """Read the answer of a look; anything unexpected proves nothing about the run."""
    for line in text.split("\n"):
        if line.startswith("JS-VERDICT "):
            fields = fields_of(line)
            verdict = _verdict(fields)
            return ControlAnswer(
                verdict=verdict,
                after=fields.get("after") or fields.get("verdict", "unknown"),
                signalled=fields.get("sent", "") != "",
                changed=fields.get("why") == "changed",
                vetoed=fields.get("why") == "veto",
            )
    why = "the host did not answer the question"
    return ControlAnswer(verdict=Unknown(why=why), after="unknown", signalled=False, changed=False)


def _verdict(fields: Mapping[str, str]) -> Verdict:
    code = fields.get("rc", "")
    result = int(code) if re.fullmatch(r"\d{1,3}", code) else None
    match fields.get("verdict"):
        case "alive":
            members = [_member(word) for word in fields.get("pids", "").split(",") if word]
            return Alive(
                leader=_leader(fields.get("leader", "")),
                members=tuple(sorted((each for each in members if each is not None), key=_pid)),
                result=result,
            )
        case "gone":
            return Gone(result=result, rebooted=fields.get("rebooted") == "yes")
        case "none":
            return NoRecord(result=result, has_directory=fields.get("directory") == "yes")
        case "unsure":
            doubt = fields.get("doubt", "").split(",")
            return Unsure(
                pids=tuple(sorted(int(pid) for pid in doubt if pid.isdigit())),
                why=LEADERLESS,
            )
        case "bad":
            return Bad(why=f"the record on the host is not ours ({fields.get('why', '')})")
        case _:
            return Unknown(why="the host's process table cannot be read")


def _pid(member: Member) -> int:
    return member.pid


def _leader(text: str) -> Leader:
    return Leader(text) if text in {"ours", "gone", "reused"} else Leader.GONE


def _member(word: str) -> Member | None:
    found = re.fullmatch(r"(\d{1,10}):([tl][^:]*(?::[^:]*)*):(group|session|token|extra|one)", word)
    if found is None:
        return None
    return Member(pid=int(found[1]), start=found[2], reason=Reason[found[3].upper()])


def _run_file(files: RunFiles) -> str:
    """Return shell text that writes the run's own program; the host adds its uid."""
    stops = "stops" if files.stderr_stops else "-"
    values = f"js_ignored='{files.ignored_codes}' js_stderr={stops} js_began={files.began}\n"
    text = _quoted(values + _program("run.sh"))
    return f'printf \'js_uid=%s\\n%s\' "$js_uid" {text} >"$js_d/run" || return 1\n'


def _interpreter(script: str, shell: str) -> str:
    """Return what runs a script that cannot be a file: what its first line says."""
    first = script.partition("\n")[0]
    if not first.startswith("#!"):
        return shell
    wanted = first.removeprefix("#!").strip()
    if _PLAIN_WORDS.match(wanted) is None:
        raise SshError(f"no folder can be written on the host to run {first!r} in")
    return wanted


def _file(name: str, text: str) -> str:
    body = text if text.endswith("\n") or not text else text + "\n"
    return f"printf '%s' {_quoted(body)} >\"$js_d/{name}\" || return 1\n"


def _value(name: str, text: str) -> str:
    return f"{name}={_quoted(text)}\n"


def _quoted(text: str) -> str:
    """Return shell text that means exactly this: within single quotes nothing is special."""
    if "\0" in text:
        raise SshError("a zero byte cannot be sent to a remote shell")
    return "'" + text.replace("'", "'\\''") + "'"


@cache
def _program(name: str) -> str:
    text = (resources.files("engine.drivers") / "shell" / name).read_text(encoding="utf-8")
    # Comments help those who read the file; on the wire they would only cost.
    return "".join(
        line + "\n" for line in text.split("\n") if line.strip() and not line.startswith("#")
    )
