"""Reading what the probe prints."""

from hypothesis import given
from hypothesis import strategies as st

from engine.kernel.ids import ExecutionKey
from engine.kernel.sessions.identity import token_of
from engine.kernel.sessions.processes import (
    PROCESSES_MAX,
    clean,
    elapsed_seconds,
    parse_probe,
)

TOKEN = token_of(ExecutionKey("e/1.1"))
PROBE = f"""welcome to this host
H now=1000000 uid=7 user=me os=Linux tokens=yes
H boot=11111111-2222 up=5000.25 hz=100
F pid ppid pgid sid user pcpu vsz rss etime time stat args
P     1     0     1     1 root  0.0 100 50 1-02:03:04 00:00:10 Ss /sbin/init
P    42     1    42    42 averylongaccount1  1.5 200 60 01:30 00:00:02 S sh -c  two  words
P    43    42    42    42 averylongaccount1  0.0 200 60 00:30 00:00:00 Z [sh] <defunct>
P  what is this
S 1 S t10 1 other 0::/init.scope
S 42 S t490000 42 own 0::/user.slice
S 43 Z t495000 42 own
T 42 {TOKEN}
T 43 not-a-token
R {TOKEN} rc=3 v=1 pid=42 pgid=42 sid=42 start=t490000 boot=11111111-2222 uid=7 began=999900
R ../etc rc= v=1
D {TOKEN} /home/me/.jobscheduler/run/{TOKEN}
Z
"""


def test_a_probe_becomes_a_table() -> None:
    table = parse_probe(PROBE)
    assert table is not None
    assert (table.now, table.uid, table.boot, table.tokens_readable) == (
        1000000,
        7,
        "11111111-2222",
        True,
    )
    assert sorted(table.processes) == [1, 42, 43]
    process = table.processes[42]
    assert (process.user, process.token, process.start) == ("averylongaccount1", TOKEN, "t490000")
    assert process.arguments == "sh -c  two  words"
    assert process.began == 1000000 - 5000 + 4900
    assert process.is_own
    assert not table.processes[1].is_own
    assert table.processes[43].is_zombie
    assert table.processes[43].token is None
    run = table.runs[TOKEN]
    assert (run.result, run.fields["pid"]) == (3, "42")
    assert run.path.endswith(TOKEN)
    assert list(table.runs) == [TOKEN]


def test_half_an_answer_is_no_answer() -> None:
    assert parse_probe(PROBE.removesuffix("Z\n")) is None
    assert parse_probe("csh: command not found\nZ\n") is None


def test_a_host_without_proc_gives_start_marks_from_its_process_list() -> None:
    text = (
        "H now=1000 uid=7 user=me os=Darwin tokens=no\n"
        "F pid ppid pgid user pcpu vsz rss etime time stat args\n"
        "P 42 1 42 me 0.0 1 1 00:10 00:00 S sleep 9\n"
        "S 42 Ss lSat_Nov_21_10:00:00_2026 - own\nZ\n"
    )
    table = parse_probe(text)
    assert table is not None
    process = table.processes[42]
    assert (process.start, process.session, process.began) == (
        "lSat_Nov_21_10:00:00_2026",
        None,
        990,
    )
    assert not table.tokens_readable


def test_a_host_with_too_many_processes_is_shown_in_part() -> None:
    lines = "".join(f"P {pid} 1 1 me 0 S x\n" for pid in range(2, PROCESSES_MAX + 5))
    header = "H now=1 uid=7\nF pid ppid pgid user vsz stat args\n"
    table = parse_probe(header + lines + "Z\n")
    assert table is not None
    assert (len(table.processes), table.cut) == (PROCESSES_MAX, True)


def test_nothing_a_process_calls_itself_can_steer_a_terminal() -> None:
    assert clean("a\x1b[31mred\x1b]0;title\x07b\x07\rc\x9b") == "aredb  c "


def test_elapsed_times_have_days_hours_minutes_and_seconds() -> None:
    texts = ("00:05", "01:02:03", "2-00:00:00", "10", "x")
    assert [elapsed_seconds(text) for text in texts] == [5, 3723, 172800, None, None]


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_no_text_makes_the_reader_stumble(text: str) -> None:
    parse_probe(f"H now=1 uid=7\nF pid ppid pgid args\n{text}\nS {text}\nT {text}\nR {text}\nZ")
