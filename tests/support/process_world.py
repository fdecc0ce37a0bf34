"""A simulated host whose processes fork, leave their session, die, and whose numbers are reused.

The rules are those of a POSIX kernel: a number is free only when no process, group or session bears
it. Pids come from a small range, so that reuse happens all the time. Each process remembers what no
process table shows: which run it truly belongs to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.kernel.sessions.identity import IdentityRecord, RunToken
from engine.kernel.sessions.processes import HostTable, Process

PIDS = range(2, 26)
OWN_UID = 1000
OTHER_UID = 2000


@dataclass(frozen=True)
class Being:
    """One process as it truly is."""

    pid: int
    parent: int
    group: int
    session: int
    uid: int
    start: int
    token: RunToken | None
    run: RunToken | None
    """To whom it belongs in truth."""
    is_zombie: bool = False


@dataclass
class SimulatedHost:
    """The host; every deed takes a tick."""

    ticks: int = 1
    boots: int = 0
    beings: dict[int, Being] = field(default_factory=dict)
    records: dict[RunToken, IdentityRecord] = field(default_factory=dict)

    @property
    def boot(self) -> str:
        return f"00000000-0000-0000-0000-{self.boots:012d}"

    def free_pid(self, wish: int) -> int | None:
        taken = {
            number
            for being in self.beings.values()
            for number in (being.pid, being.group, being.session)
        }
        order = [PIDS[(wish + step) % len(PIDS)] for step in range(len(PIDS))]
        return next((pid for pid in order if pid not in taken), None)

    def begin(self, wish: int, *, uid: int = OWN_UID, run: RunToken | None = None) -> None:
        """Start a leader of its own session: a run, or a stranger."""
        self.ticks += 1
        pid = self.free_pid(wish)
        if pid is None or run in self.records:
            return
        self.beings[pid] = Being(pid, 1, pid, pid, uid, self.ticks, run, run)
        if run is not None:
            self.records[run] = IdentityRecord(
                pid=pid,
                group=pid,
                session=pid,
                start=f"t{self.ticks}",
                boot=self.boot,
                uid=OWN_UID,
                began=self.ticks,
            )

    def fork(self, which: int, wish: int) -> None:
        self.ticks += 1
        parent, pid = self._pick(which), self.free_pid(wish)
        if parent is not None and pid is not None and not parent.is_zombie:
            self.beings[pid] = replace(parent, pid=pid, parent=parent.pid, start=self.ticks)

    def leave_session(self, which: int) -> None:
        self.ticks += 1
        being = self._pick(which)
        if being is not None and not being.is_zombie and being.group != being.pid:
            self.beings[being.pid] = replace(being, group=being.pid, session=being.pid)

    def leave_group(self, which: int) -> None:
        self.ticks += 1
        being = self._pick(which)
        if being is not None and not being.is_zombie and being.session != being.pid:
            self.beings[being.pid] = replace(being, group=being.pid)

    def drop_token(self, which: int) -> None:
        being = self._pick(which)
        if being is not None:
            self.beings[being.pid] = replace(being, token=None)

    def become_another(self, which: int) -> None:
        being = self._pick(which)
        if being is not None:
            self.beings[being.pid] = replace(being, uid=OTHER_UID, token=None)

    def die(self, which: int, *, reaped: bool) -> None:
        self.ticks += 1
        being = self._pick(which)
        if being is None:
            return
        if reaped:
            del self.beings[being.pid]
        else:
            self.beings[being.pid] = replace(being, is_zombie=True, token=None)

    def reboot(self) -> None:
        self.beings.clear()
        self.boots += 1
        self.ticks = 1

    def take_over(self, run: RunToken, *, leaderless: bool, survivor: bool) -> None:
        """Have the number of a run's leader end and come back as a group of strangers.

        A survivor of the run may live on in a session of its own.
        """
        record = self.records.get(run)
        if record is None:
            return
        number = record.pid
        place = self.free_pid(number + 5)
        if survivor and place is not None and record.boot == self.boot:
            self.ticks += 1
            self.beings[place] = Being(place, 1, place, place, OWN_UID, self.ticks, run, run)
        for pid, being in list(self.beings.items()):
            if number in {being.pid, being.group, being.session}:
                del self.beings[pid]
        self.begin(PIDS.index(number))
        child = self.free_pid(number)
        if child is not None:
            self.ticks += 1
            self.beings[child] = replace(
                self.beings[number], pid=child, parent=number, start=self.ticks
            )
            if leaderless:
                del self.beings[number]

    def come_back_alike(self, run: RunToken) -> None:
        """Reboot, and have a stranger start with the number of a run at the very same tick."""
        record = self.records.get(run)
        if record is None:
            return
        self.reboot()
        self.ticks = int(record.start[1:]) - 1
        self.begin(PIDS.index(record.pid))

    def table(self) -> HostTable:
        """What a look shows: everything but the truth. There is always an init."""
        init = Being(1, 0, 1, 1, 0, 0, None, None)
        return HostTable(
            now=self.ticks,
            uid=OWN_UID,
            user="me",
            system="Linux",
            boot=self.boot,
            processes={each.pid: _shown(each) for each in (init, *self.beings.values())},
            tokens_readable=True,
        )

    def write(self, folder: Path) -> None:
        """Show the same as a /proc below a folder, for the shell programs."""
        random = folder / "sys" / "kernel" / "random"
        random.mkdir(parents=True)
        (random / "boot_id").write_text(self.boot + "\n")
        for process in self.table().processes.values():
            place = folder / str(process.pid)
            place.mkdir()
            rest = " 0" * 15
            (place / "stat").write_text(
                f"{process.pid} (odd ) S name) {process.state} {process.parent} {process.group} "
                f"{process.session}{rest} {process.start[1:]} 0 0\n"
            )
            environment = "PATH=/bin\0OTHER=JS_TOKEN=none\0"
            if process.token is not None:
                environment += f"JS_TOKEN={process.token}\0"
            (place / "environ").write_text(environment)
            if process.is_own:
                (place / "own").write_text("")

    def _pick(self, which: int) -> Being | None:
        pids = sorted(self.beings)
        return self.beings[pids[which % len(pids)]] if pids else None


def _shown(being: Being) -> Process:
    return Process(
        pid=being.pid,
        parent=being.parent,
        group=being.group,
        session=being.session,
        user="me" if being.uid == OWN_UID else "other",
        is_own=being.uid == OWN_UID,
        state="Z" if being.is_zombie else "S",
        start=f"t{being.start}",
        token=being.token if being.uid == OWN_UID else None,
    )


def record_text(record: IdentityRecord) -> str:
    """The record as the wrapper writes it."""
    fields: Mapping[str, object] = {
        "v": 1,
        "pid": record.pid,
        "pgid": record.group,
        "sid": record.session,
        "start": record.start,
        "boot": record.boot,
        "uid": record.uid,
        "began": record.began,
    }
    return " ".join(f"{name}={value}" for name, value in fields.items()) + " \n"
