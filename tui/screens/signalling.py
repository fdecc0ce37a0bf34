"""Ending processes of remote hosts: what asks, what is sent, what is told.

The verdict is the host's own, made in the same call as the signal. What the screen showed
goes along (`expected`), so that nothing is sent when the host shows something else by then.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textual.dom import DOMNode

from engine.kernel.sessions.marks import Mark
from tui.client import EngineAway, NotAdmitted
from tui.mirror import LinkStatus
from tui.remote import Act, HostLook, Identity, RemoteProcess, SignalAnswer, SignalAsked, Subject
from tui.screens.shell import Shell
from tui.views import processes
from tui.views.text import Line, Span, clean, line
from tui.widgets.question import Query

AT_ONCE_MAX = 8
"""Signals on their way at the same time."""
PATIENCE_MORE_S = 20.0
"""Beyond the time between TERM and KILL."""
LISTED_MAX = 10
COUNT_TYPED_FROM = 100
_WORDS = {Act.END: "End", Act.KILL: "Kill", Act.SIGNAL: "Signal", Act.DRY_RUN: "Try"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a key is meant for, as the screen showed it when it was pressed."""

    subject: Subject
    host: HostLook
    process: RemoteProcess
    members: frozenset[tuple[int, str]]
    is_free: bool
    """One key ends it."""

    @property
    def expected(self) -> str:
        """What the screen showed of its run."""
        run = self.host.runs.get(self.subject.token)
        return "" if run is None else run.expected

    @property
    def name(self) -> str:
        """A few words for notices."""
        return processes.subject_text(self.subject, self.host)

    @property
    def patience_s(self) -> float:
        """How long the answer may take."""
        run = self.host.runs.get(self.subject.token)
        grace = None if run is None else run.kill_after_s
        return (processes.DEFAULT_GRACE_S if grace is None else grace) + PATIENCE_MORE_S


class Signalling:
    """Acts on what is marked or under the cursor, through the shell."""

    def __init__(self, shell: Shell, screen: DOMNode) -> None:
        self._shell = shell
        self._screen = screen

    def targets(self, keys: Iterable[Identity]) -> list[Target]:
        """Return what these rows stand for: each run once."""
        remote = self._shell.scene().mirror.remote
        found: dict[Subject, Target] = {}
        gone = 0
        for key in keys:
            there = remote.find(key) if key.pid else None
            if there is None:
                gone += bool(key.pid)
                continue
            host, process = there
            subject = process.subject
            found.setdefault(
                subject,
                Target(
                    subject=subject,
                    host=host,
                    process=process,
                    members=remote.members_of(subject),
                    is_free=processes.is_free(host, process),
                ),
            )
        if gone:
            self._shell.say(f"{gone} of the processes are not there any more", bad=True)
        elif not found:
            self._shell.say("no process is meant here", bad=True)
        return list(found.values())

    # --- asking first ------------------------------------------------------------------------

    def act(self, act: Act, targets: Sequence[Target], *, signal: str = "TERM") -> None:
        """Do it at once where one key suffices, else ask."""
        if not targets:
            return
        is_free = len(targets) == 1 and targets[0].is_free and act is Act.END
        if is_free and not self._shell.is_production:
            self._send(act, targets, signal, is_confirmed=False)
        else:
            self._confirm(act, targets, signal)

    def _confirm(self, act: Act, targets: Sequence[Target], signal: str, said: str = "") -> None:
        first, count = targets[0], len(targets)
        what = f"{signal} to" if act is Act.SIGNAL else _WORDS[act]
        whom = first.name if count == 1 else f"{count} runs and processes"
        # A number to type: nobody can prove whose process it is.
        is_foreign = count == 1 and first.process.mark is Mark.FOREIGN
        number = first.subject.pid if is_foreign else 0
        if count >= COUNT_TYPED_FROM:
            number = count
        self._shell.question(
            Query(
                title=f"{what} {whom}?",
                consequences=_question(act, targets, signal, said),
                yes=f"{what if act is Act.SIGNAL else what.lower()} {whom}",
                no="no, leave them alone",
                counted=number,
                moot=lambda: self._moot(targets),
                try_it=None if act is Act.SIGNAL else lambda: self._try(targets),
            ),
            lambda _reason: self._send(act, targets, signal, is_confirmed=True),
        )

    def _moot(self, targets: Sequence[Target]) -> str:
        """Return what has become something else since the question was asked."""
        remote = self._shell.scene().mirror.remote
        changed = (one for one in targets if remote.members_of(one.subject) != one.members)
        found = next(changed, None)
        return "" if found is None else f"{found.name} is not what it was when you were asked"

    # --- sending -----------------------------------------------------------------------------

    def dry_run(self, targets: Sequence[Target]) -> None:
        """Show which processes would get which signal, and why."""
        if targets:
            work = self._dry_run(targets)
            self._screen.run_worker(work, exclusive=True, group="why", exit_on_error=False)

    async def _dry_run(self, targets: Sequence[Target]) -> None:
        self._shell.show_page("what <x> would do; nothing was sent", await self._try(targets))

    async def _try(self, targets: Sequence[Target]) -> list[Line]:
        lines: list[Line] = []
        for target in targets:
            answer = await self._ask(_asked(Act.DRY_RUN, target, "TERM", is_confirmed=False))
            lines += _dry_lines(target, answer)
        return lines

    def _send(
        self, act: Act, targets: Sequence[Target], signal: str, *, is_confirmed: bool
    ) -> None:
        shell = self._shell
        why_not = shell.why_not_allowed()
        if not why_not and shell.scene().mirror.link.status is not LinkStatus.LIVE:
            why_not = "the engine is away"
        if why_not:
            shell.say(f"{why_not}: nothing was sent", bad=True)
            return
        pending = shell.scene().mirror.remote.pending
        already = [one for one in targets if one.subject in pending]
        if already:
            shell.say(f"{already[0].name}: asked already, no answer yet")
            return
        for target in targets:
            pending[target.subject] = act.value
        shell.hosts.note()
        work = self._send_all(act, targets, signal, is_confirmed=is_confirmed)
        self._screen.app.run_worker(work, group="signals", exit_on_error=False)

    async def _send_all(
        self, act: Act, targets: Sequence[Target], signal: str, *, is_confirmed: bool
    ) -> None:
        slots = asyncio.Semaphore(AT_ONCE_MAX)
        remote = self._shell.scene().mirror.remote

        async def send(target: Target) -> SignalAnswer:
            try:
                async with slots:
                    return await self._ask(_asked(act, target, signal, is_confirmed=is_confirmed))
            finally:
                remote.pending.pop(target.subject, None)

        answers = await asyncio.gather(*(send(target) for target in targets))
        for host in {target.subject.host for target in targets}:
            await self._shell.hosts.refresh(host)
        self._tell(act, list(zip(targets, answers, strict=True)), signal)

    async def _ask(self, asked: SignalAsked) -> SignalAnswer:
        try:
            return await self._shell.client.signal(asked)
        except (EngineAway, NotAdmitted) as away:
            return SignalAnswer(outcome="unreachable", text=f"no answer from the engine: {away}")

    def _tell(self, act: Act, answered: Sequence[tuple[Target, SignalAnswer]], signal: str) -> None:
        """Tell in one line what became of it; ask again where the engine wants a yes first."""
        if len(answered) == 1:
            target, answer = answered[0]
            if answer.outcome == "needs confirmation":
                self._confirm(act, [target], signal, answer.question or answer.text)
                return
            self._shell.say(_outcome(target, answer), bad=not answer.is_good)
            return
        bad = [(target, answer) for target, answer in answered if not answer.is_good]
        done = len(answered) - len(bad)
        text = f"{_WORDS[act].lower()}: {done} of {len(answered)} done"
        if bad:
            kinds = Counter(answer.outcome for _, answer in bad)
            counts = ", ".join(f"{count} {outcome}" for outcome, count in kinds.items())
            text += f", {counts}; first {_outcome(*bad[0])}"
        self._shell.say(text, bad=bool(bad))


def _asked(act: Act, target: Target, signal: str, *, is_confirmed: bool) -> SignalAsked:
    return SignalAsked(
        act=act,
        subject=target.subject,
        expected=target.expected,
        signal=signal,
        is_confirmed=is_confirmed,
        patience_s=target.patience_s,
    )


def _outcome(target: Target, answer: SignalAnswer) -> str:
    words = {
        "done": "gone",
        "nothing there": "was gone already",
        "changed": "nothing was sent: the host shows something else by now",
        "unsure": "nothing was sent: it may be a stranger",
    }
    said = words.get(answer.outcome, answer.outcome)
    return f"{target.name}: {said}" + (f": {clean(answer.text)}" if answer.text else "")


def _question(act: Act, targets: Sequence[Target], signal: str, said: str) -> list[Line]:
    """Return host, account, order, command, age, number and scope of each."""
    lines: list[Line] = []
    if said:
        lines += [line(Span(f" {clean(said)}", "late")), ()]
    for target in targets[:LISTED_MAX]:
        run = target.host.runs.get(target.subject.token)
        count = max(len(target.members), 1)
        what = f"{count} {'process' if count == 1 else 'processes'}"
        whose = f" of {processes.order_of(run)}" if run is not None and run.order else ""
        word, role = processes.mark_word(target.process.mark)
        lines.append(line(" ", Span(word, role), f"  {what}{whose} on {clean(target.host.name)}"))
        if len(targets) == 1:
            lines += _one(target)
        else:
            lines[-1] += (Span(f"  {clean(target.process.command)[:30]}", "dim"),)
    if len(targets) > LISTED_MAX:
        lines.append(line(f" … {len(targets) - LISTED_MAX} more"))
    if len(targets) == 1 and targets[0].process.mark is Mark.FOREIGN:
        lines.append(line(Span(f" Type its number {targets[0].subject.pid} to go on.", "late")))
    return [*lines, (), line(f" {_consequence(act, targets, signal)}")]


def _one(target: Target) -> list[Line]:
    run = target.host.runs.get(target.subject.token)
    scope = "this process alone" if run is None else f"scope {run.scope}"
    lines = [
        line(Span(f" {clean(target.process.command)[:60]}", "bold")),
        line(Span(f" account {clean(target.process.user)}, {scope}", "dim")),
    ]
    if run is not None and run.mark is Mark.STEP:
        lines.append(line(Span(" A running order is hit: it takes its error way.", "late")))
    return lines


def _consequence(act: Act, targets: Sequence[Target], signal: str) -> str:
    match act:
        case Act.KILL:
            return "KILL now: they get no chance to tidy up."
        case Act.SIGNAL:
            return f"{signal}, and nothing else."
        case _:
            grace = max(target.patience_s for target in targets) - PATIENCE_MORE_S
            return f"TERM now, KILL after {grace:.0f} s to what is still there."


def _headline(answer: SignalAnswer) -> str:
    """Return what the answer says before it lists the processes, which stand below."""
    text = clean(answer.text)
    return f"{text.partition(':')[0]}:" if answer.members else text


def _dry_lines(target: Target, answer: SignalAnswer) -> list[Line]:
    commands = {
        (one.identity.pid, one.identity.start): one.command for one in target.host.processes
    }
    lines: list[Line] = [
        line(Span(f" {target.name}", "bold"), f"  on {clean(target.host.name)}"),
        line(f" {_headline(answer)}"),
    ]
    for member in answer.members:
        command = clean(commands.get((member.pid, member.start), ""))
        reason = Span(f"{clean(member.reason)}  ", "dim")
        lines.append(line(f" {member.pid:>8}  ", reason, command))
    if not answer.members:
        lines.append(line(Span(f" nobody would get a signal: {answer.outcome}", "late")))
    return [*lines, ()]
