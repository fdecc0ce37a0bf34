"""Theme files, key files, settings, commands: read strictly, refused with a place and a hint."""
# ruff: noqa: RUF001  # the signs of the screen

from pathlib import Path

import pytest

from tui import app
from tui.commands import CommandProblem, Doing, Place, link_of, parse
from tui.key_files import parse_keys
from tui.keys import (
    ACTIONS,
    EVERYWHERE,
    LISTS,
    NEVER_BOUND,
    KeysProblem,
    actions_for,
    check_keys,
)
from tui.reference import reference
from tui.screens.base import CockpitScreen
from tui.settings import Settings, SettingsProblem, can_draw_unicode, load_settings, parse_settings
from tui.theme_files import (
    DEFAULT_ROLES,
    ThemeProblem,
    load_theme,
    parse_theme,
    theme_names,
)
from tui.widgets.palette import Palette, as_ascii, glyphs_of


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, two: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(two)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", theme_names())
def test_every_role_of_a_shipped_theme_can_be_read_on_its_background(name: str) -> None:
    theme = load_theme(name)
    assert theme.name == name
    if theme.ansi:
        assert "background" not in theme.colours
        return
    background = theme.colours["background"]
    for role, style in theme.roles.items():
        colour = next((word for word in style.split() if word.startswith("#")), None)
        least = 3.0 if role == "dim" else 4.5
        if colour is not None:
            assert _contrast(colour, background) >= least, (role, colour)
    assert _contrast(theme.colours["foreground"], background) >= 7


# Linear RGB as seen without one kind of cones (Viénot, Brettel and Mollon).
_BLIND = {
    "deuter": ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0)),
    "tritan": (
        (1.01277, 0.13548, -0.14826),
        (-0.01243, 0.86812, 0.14431),
        (0.07589, 0.80500, 0.11911),
    ),
}


def _seen(colour: str, blindness: str) -> tuple[float, ...]:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    mixed = [
        max(0.0, min(1.0, sum(f * c for f, c in zip(row, linear, strict=True))))
        for row in _BLIND[blindness]
    ]
    return _lab(mixed)


def _lab(linear: list[float]) -> tuple[float, ...]:
    red, green, blue = linear
    xyz = (
        (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047,
        0.2126 * red + 0.7152 * green + 0.0722 * blue,
        (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883,
    )
    x, y, z = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("name", sorted(_BLIND))
def test_states_stay_apart_for_the_eyes_a_theme_is_made_for(name: str) -> None:
    roles = load_theme(name).roles
    colours = {
        role: next(word for word in roles[role].split() if word.startswith("#"))
        for role in ("run", "fail", "ok", "late", "held", "dim")
    }
    for one, first in colours.items():
        for other, second in colours.items():
            if one < other:
                pairs = zip(_seen(first, name), _seen(second, name), strict=True)
                distance = sum((a - b) ** 2 for a, b in pairs) ** 0.5
                assert distance >= 14, (one, other, distance)


def test_nothing_but_ascii_reaches_a_poor_terminal() -> None:
    assert as_ascii("╭─ x… │ 表 ›") == "+- x~ | ?? >"


@pytest.mark.parametrize("name", theme_names())
def test_every_role_has_a_style(name: str) -> None:
    palette = Palette(load_theme(name))
    for role in DEFAULT_ROLES:
        palette.style(role)


def test_two_themes_at_least_are_shipped() -> None:
    assert {"harbour", "daylight", "mono"} <= set(theme_names())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[roles]\nfial = 'bold'", r"x.toml:2: fial: unknown; did you mean 'fail'\?"),
        ("[roles]\nfail = 'bolt red'", "x.toml:2: fail: 'bolt' is neither a colour"),
        ("[colours]\nprimary = 'blue'", "x.toml:2: primary: 'blue' is no colour"),
        ("dark = 'yes'", "x.toml:1: dark: must be bool"),
        ("name = ", "x.toml"),
        ("[glyphs]\nset = 'runes'", "no set of signs"),
    ],
)
def test_a_broken_theme_is_refused_with_file_line_and_key(text: str, said: str) -> None:
    with pytest.raises(ThemeProblem, match=said):
        parse_theme(text, "x.toml")


def test_an_unknown_theme_names_the_nearest() -> None:
    with pytest.raises(ThemeProblem, match="did you mean 'harbour'"):
        load_theme("harbor")


def test_single_signs_can_be_changed() -> None:
    theme = parse_theme("[glyphs]\nset = 'ascii'\nrun = 'R'", "x.toml")
    glyphs = glyphs_of(theme, ascii_only=False)
    assert (glyphs.run, glyphs.name) == ("R", "ascii")


def test_without_colour_only_attributes_are_left() -> None:
    palette = Palette(load_theme("harbour"), no_colour=True)
    assert palette.style("fail").color is None
    assert palette.style("fail").bold


# --- keys ----------------------------------------------------------------------------------------


def test_the_default_keys_are_allowed_and_unique_in_their_places() -> None:
    check_keys(ACTIONS, "defaults")
    assert len({action.id for action in ACTIONS}) == len(ACTIONS)
    assert not {key for action in ACTIONS for key in action.keys} & NEVER_BOUND


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"orders.suspnd" = "s"', "did you mean 'orders.suspend'"),
        ('"orders.suspend" = "t"', "'t' is both"),
        ('"orders.suspend" = "ctrl+i"', "cannot send"),
        ('"orders.remove" = "D"', "torn arrow keys"),
        ('"orders.suspend" = 7', "must be a text"),
    ],
)
def test_a_bad_key_file_is_refused_with_names(text: str, said: str) -> None:
    with pytest.raises(KeysProblem, match=said):
        parse_keys(text, "keys.toml")


def test_keys_are_rebound_by_identifier() -> None:
    keys = parse_keys('"orders.suspend" = "p,f6"\n[row]\nlog = "K"', "keys.toml")
    actions = {action.id: action for action in keys.actions()}
    assert actions["orders.suspend"].keys == ("p", "f6")
    assert actions["row.log"].keys == ("K",)


def test_a_screens_own_key_goes_before_one_of_all_screens() -> None:
    for place in {place for action in ACTIONS for place in action.places} - {EVERYWHERE, LISTS}:
        for is_list in (True, False):
            actions = actions_for(place, is_list=is_list)
            keys = [key for action in actions for key in action.keys]
            assert len(keys) == len(set(keys)), (place, keys)


# --- settings ------------------------------------------------------------------------------------


def test_settings_come_from_the_file_and_are_overridden_by_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "cockpit.toml").write_text('theme = "daylight"\nread_only = true\n')
    settings = load_settings(tmp_path, {"USER": "ops1", "LANG": "C.UTF-8"}, theme="mono")
    assert settings.theme == "mono"
    assert settings.read_only
    assert settings.person == "ops1"
    assert not settings.ascii_only


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('them = "x"', "did you mean 'theme'"),
        ("theme = 3", "must be str"),
        ('glyphs = "runes"', "ascii or auto or unicode"),
        ("theme", "cockpit.toml"),
    ],
)
def test_bad_settings_are_refused(text: str, said: str) -> None:
    with pytest.raises(SettingsProblem, match=said):
        parse_settings(text, "cockpit.toml")


@pytest.mark.parametrize(
    ("environment", "can"),
    [
        ({}, True),
        ({"LANG": "en_US.UTF-8"}, True),
        ({"LC_ALL": "C", "LANG": "en_US.UTF-8"}, False),
        ({"TERM": "linux", "LANG": "C.UTF-8"}, False),
        ({"TERM": "vt220"}, False),
    ],
)
def test_signs_follow_locale_and_terminal(environment: dict[str, str], can: bool) -> None:
    assert can_draw_unicode(environment) is can


def test_the_start_screen_is_the_one_at_a_glance() -> None:
    assert Settings().start_screen == "pulses"


# --- commands ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (":orders chain=inv* !done", Place(noun="orders", filter_text="chain=inv* !done")),
        ("or", Place(noun="orders")),
        ("chain invoice_daily", Place(noun="chain", argument="invoice_daily")),
        ("graph x load", Place(noun="chain", argument="x", filter_text="load")),
        (
            "start inv region='E U' at=18:00",
            Doing(verb="start", words=("inv", "region=E U", "at=18:00")),
        ),
        ("q", Doing(verb="quit")),
    ],
)
def test_what_a_command_line_means(text: str, meant: Place | Doing) -> None:
    assert parse(text) == meant


def test_a_link_opens_the_place_it_was_made_from() -> None:
    place = Place(noun="orders", filter_text="chain=inv* !done")
    assert parse(link_of(place)) == place


@pytest.mark.parametrize(
    ("text", "said"),
    [("chians", "did you mean 'chains'"), ("chain", "needs CHAIN"), ("", "type the name")],
)
def test_a_bad_command_is_refused(text: str, said: str) -> None:
    with pytest.raises(CommandProblem, match=said):
        parse(text)


def test_the_reference_is_made_from_the_tables_of_the_program() -> None:
    """Made anew by `python -m tui --reference > docs/cockpit.md`."""
    file = Path(__file__).parents[3] / "docs" / "cockpit.md"
    assert file.read_text(encoding="utf-8") == reference()


def test_every_action_has_a_method_on_the_screens_of_its_places() -> None:
    classes = {
        made.noun: made
        for made in vars(app).values()
        if isinstance(made, type) and issubclass(made, CockpitScreen) and made.noun
    }
    for noun, made in classes.items():
        for action in actions_for(noun, is_list=made.is_list):
            assert hasattr(made, f"do_{action.method}"), (noun, action.id)
