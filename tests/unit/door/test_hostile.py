"""Text from outside never breaks the door: it means something, or is refused."""

from hypothesis import given
from hypothesis import strategies as st

from engine.door.handing_over import CLOSED_OPTIONS, COMMANDS, INFORMATION, Handed, meant_by
from engine.door.limits import shown
from engine.door.people import parse_people
from engine.door.terminal import session_environment
from tests.support.programs import CHECKOUT

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
PIECES = st.sampled_from(
    ["person", "role", "from", "expiry-time", "principals", "cert-authority", "restrict", "=", '"',
     ",", " ", "anna", "admin", "00010101", "99991231235959", "10.0.0.0/8", "::1", "\\\\", "#",
     "ssh-ed25519", KEY, "\n", "\0", "\u017f", "\u2028"]
)  # fmt: skip


@given(st.lists(PIECES | st.text(max_size=3), max_size=25).map("".join))
def test_any_file_is_read_and_each_line_is_a_grant_or_a_finding(text: str) -> None:
    found = parse_people(text, "keys")
    lines = [line.strip() for line in text.splitlines()]
    meant = [line for line in lines if line and not line.startswith("#")]
    assert len(found.grants) + len(found.findings) == len(meant)


@given(
    st.lists(
        st.sampled_from([*COMMANDS, *CLOSED_OPTIONS, "list", "=", " ", "'", '"', "\\\\", ";"])
        | st.text(max_size=3),
        max_size=12,
    ).map("".join)
)
def test_what_is_handed_over_begins_with_an_open_command(text: str) -> None:
    meant = meant_by(text)
    if isinstance(meant, Handed):
        assert meant.words[0] in COMMANDS | INFORMATION
        assert not any(word.split("=")[0] in CLOSED_OPTIONS for word in meant.words)


@given(st.text())
def test_a_shown_text_is_one_short_line(text: str) -> None:
    assert shown(text).isprintable()
    assert shown(text).isascii()
    assert len(shown(text)) < 1_200


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=80)), st.text(max_size=20))
def test_an_environment_has_only_plain_values(asked: dict[str, str], terminal: str) -> None:
    found = session_environment("anna", CHECKOUT, {}, asked, terminal)
    assert all(value.isascii() and value.isprintable() for value in found.values())
