"""The reference of the cockpit as a document, made from the tables that the program uses."""

from collections.abc import Iterable

from tui.commands import NOUNS, VERBS
from tui.keys import ACTIONS, EVERYWHERE, LISTS, MOVES, Action
from tui.views.frame import key_name
from tui.views.glyphs import ASCII, UNICODE
from tui.views.help import HARM, STANDING_WORDS
from tui.views.standing import Standing, look_of

_HEAD = """# The cockpit: screens, keys, commands

This page is made from the program by `python -m tui --reference`; a test compares it.

Keys can be changed in `keys.toml` in the configuration folder, by the identifier in the last
column: `"orders.suspend" = "s,f6"`. [Settings](#settings) are in `cockpit.toml` beside it: `theme`,
`start_screen`, `read_only`, `production` (ask before every change), `glyphs` (`auto`, `unicode`,
`ascii`), `mouse`. Themes: see `themes/README.md`. `:tour` names every key, one screen after the
other. How it looks: [screens.md](screens.md).
"""
_SETTINGS = """
## Settings

`cockpit.toml` in the configuration folder; an unknown name is an error with the nearest right one.

```toml
theme = "harbour"              # bell, mouse, glyphs, start_screen, read_only, production: as above
bell = true                    # ring when something new needs a person
clock = "utc"                  # or "local", "engine", "Europe/Berlin": shown and read in forms
clipboard = "terminal"         # or "file": copies go into clipboard.txt in the state folder

[engines.prod-a]               # :engines lists them, :engine prod-a shows one
address = "https://prod-a:4444"    # or the path of a socket
token_file = "~/.config/pointsman/prod-a.token"
theme = "contrast"
production = true              # every change asks first
read_only = false

[refresh]                      # seconds between two looks while the screen is shown
processes = 2                  # hosts = 2, engines = 10

[columns]                      # by list, in this order; ctrl+w still shows all
orders = ["STATUS", "ORDER", "NODE", "WAITS FOR, ON"]

[filters]                      # :orders @late, or @late in any filter line
late = "status=late chain=inv*"
```

`keys.toml` beside it changes keys and binds those of one's own. Programs get their words as they
are, never through a shell; `$ORDER`, `$CHAIN`, `$TASK`, `$HOST` and `$LOG` (the whole log of the
task as a file) stand for what the row is about.

```toml
"orders.suspend" = "s,f7"
"move.down" = "j,down,f9"      # moving is the same in every list and page

[[command]]
key = "f5"
command = ":orders @late"
label = "late"

[[tool]]
key = "f6"
program = ["less", "+G", "$LOG"]
screens = ["orders", "tasks"]
harm = 0                       # from 1 on: not in read-only
```

What is changed while working (theme, sorting, wide columns, what was put aside) is kept in the
state folder. `pointsman :orders chain=inv* !done` opens at a place, `pointsman --journal FILE`
shows what `pointsman tail --after 0 --json` has saved.
"""
_ASKING = """
## Questions, forms, refusals

A question names the engine, what would be changed and what becomes of it. `y` is yes; enter, esc
and ten seconds of silence are no, and it goes away when what it is about changes meanwhile.
`ctrl+t` asks the engine what would happen, `v` shows all names, tab is the reason where something
is destroyed: it stands in the journal beside the name of whoever asked. From 100 rows on the count
is typed in place of `y`. On a `production` engine everything is asked for like that.

In the form of an order enter does it, ctrl+t tries on the engine without doing it, ctrl+y copies
the same as a command line of `pointsman`.

What was asked for is marked with `…` until its event arrives, and says so when there is no answer
after five seconds. What became of many is told in one line, with the engine's words for the first
refusal. Marked rows that have vanished are named there; no key passes on to another row instead.

Who may only look (`--read-only`, a token with that role, the past) sees no keys that change
anything; pressing one says why.
"""


def reference() -> str:
    """Return the document."""
    parts = [_HEAD, "## Screens\n", *_screens(), "\n## Keys\n", *_keys()]
    parts += [_ASKING, "## Commands\n", *_verbs(), _SETTINGS, "## Signs\n", *_signs()]
    return "\n".join(parts) + "\n"


def _screens() -> Iterable[str]:
    yield "| command | short | shows |"
    yield "|---|---|---|"
    for noun in NOUNS:
        name = f":{noun.name} {noun.argument}".strip()
        yield f"| `{name}` | {_code(noun.aliases)} | {noun.help} |"


def _keys() -> Iterable[str]:
    yield "Moving, in every list and page:\n"
    yield "| key | does | identifier |"
    yield "|---|---|---|"
    for move_id, keys, _, words in MOVES:
        yield f"| {_code(map(key_name, keys))} | {words} | `{move_id}` |"
    places = {place: None for action in ACTIONS for place in action.places}
    for place in (EVERYWHERE, LISTS, *(p for p in places if p not in {EVERYWHERE, LISTS})):
        title = {EVERYWHERE: "everywhere", LISTS: "in all lists"}.get(place, f"`{place}`")
        yield f"\n### {title}\n"
        yield "| key | does | harm | identifier |"
        yield "|---|---|---|---|"
        for action in ACTIONS:
            if place in action.places:
                yield _row(action)


def _row(action: Action) -> str:
    keys = _code(map(key_name, action.keys))
    help_text = action.help.replace("|", "\\|")
    return f"| {keys} | {help_text} | {action.harm or ''} | `{action.id}` |"


def _verbs() -> Iterable[str]:
    yield "| command | short | does |"
    yield "|---|---|---|"
    for verb in VERBS:
        name = f":{verb.name} {verb.argument}".strip()
        yield f"| `{name}` | {_code(verb.aliases)} | {verb.help} |"
    yield "\nHarm: " + "; ".join(f"{level} {words}" for level, words in HARM.items() if words) + "."


def _signs() -> Iterable[str]:
    yield "| sign | ASCII | word | means |"
    yield "|---|---|---|---|"
    for standing in Standing:
        signs = (look_of(standing, UNICODE).glyph, look_of(standing, ASCII).glyph)
        yield f"| `{signs[0]}` | `{signs[1]}` | {standing.value} | {STANDING_WORDS[standing]} |"


def _code(words: Iterable[str]) -> str:
    return " ".join(f"`{word}`" if word != "`" else "`` ` ``" for word in words)
