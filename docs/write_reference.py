"""Writes docs/reference.md from the code: settings, requests, events, refusals, limits, metrics.

    PYTHONPATH=. python docs/write_reference.py

A test compares the file with what this would write, so it is never behind the code.
"""

import ast
import dataclasses
import inspect
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from engine.codec.json_api import PublicRequest
from engine.kernel import limits, problems
from engine.kernel.events import Event
from engine.server import listeners, metrics
from engine.service import settings, ssh_settings

REFERENCE = Path(__file__).with_name("reference.md")
_HEAD = """# Reference

Made from the code by `docs/write_reference.py`; do not edit it here.
"""
_SETTINGS = """## Settings

Keys of `engine.toml`, `POINTSMAN_KEY` in the environment, `--key` on the command line; later ones
win. `[tls]` with `key` is `tls_key`. Relative paths of the file begin at its folder. Secrets are
taken from the environment or from files only.
"""
_REQUESTS = """## Requests

`POST /api/command` with `{"kind": "AddOrder", …}`; what has a default may be left out.
"""
_EVENTS = """## Events

What the journal and `GET /api/events` hold.
"""
_REFUSALS = """## Refusals

Codes are those of JobScheduler 1.x where it had one.
"""


def main() -> None:
    """Write the file."""
    REFERENCE.write_text(reference(), encoding="utf-8")


def reference() -> str:
    """Return the whole text."""
    parts = (
        (_SETTINGS, ("key", "default", "meaning"), _settings()),
        (_REQUESTS, ("kind", "meaning", "fields"), _records(typing.get_args(PublicRequest))),
        (_EVENTS, ("kind", "meaning", "fields"), _records(typing.get_args(Event))),
        (_REFUSALS, ("code", "meaning"), _problems()),
        ("## Limits\n", ("name", "value", "reason"), _limits()),
        ("## Metrics\n", ("name", "meaning"), _metrics()),
    )
    return _HEAD + "".join(f"\n{intro}\n{_table(head, rows)}" for intro, head, rows in parts)


# --- sections ------------------------------------------------------------------------------------


def _settings() -> Iterator[tuple[str, ...]]:
    fields = {each.name: each for each in dataclasses.fields(settings.EngineSettings)}
    tls = _texts_below(listeners, "TlsFiles")
    meanings = _texts_below(settings, "EngineSettings")
    meanings |= {f"tls_{name}": text for name, text in tls.items()}
    about_ssh = _texts_below(ssh_settings, "SshSection")
    meanings |= {f"ssh_{name}": text for name, text in about_ssh.items()}
    ssh_fields = dataclasses.fields(ssh_settings.SshSection)
    fields |= {f"ssh_{each.name}": each for each in ssh_fields}
    for key, setting in settings.SETTINGS.items():
        field = fields.get(setting.field)
        default = "" if field is None else _default(key, field.default)
        yield f"`{key}`", default, meanings.get(setting.field, "")


def _default(key: str, value: object) -> str:
    if value is None or value is dataclasses.MISSING or isinstance(value, tuple):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    if isinstance(value, int) and key.endswith("_s"):
        return f"`{value / 1000:g}`"
    if isinstance(value, int) and key.endswith("_days"):
        return f"`{value / 86_400_000:g}`"
    return f"`{value}`"


def _records(classes: Iterable[type]) -> Iterator[tuple[str, ...]]:
    for record in classes:
        names = ", ".join(f"`{field.name}`" for field in dataclasses.fields(record))
        yield f"`{record.__name__}`", _sentence(inspect.getdoc(record)), names


def _problems() -> Iterator[tuple[str, ...]]:
    found: dict[tuple[str, str], None] = {}
    for node in _tree(problems).body:
        if isinstance(node, ast.FunctionDef):
            for call in ast.walk(node):
                if isinstance(call, ast.keyword) and call.arg == "code":
                    code = _constant(call.value)
                    if code:
                        found[code, _sentence(ast.get_docstring(node))] = None
    for code, meaning in sorted(found, key=lambda row: (len(row[0]), row)):
        yield f"`{code}`", meaning


def _limits() -> Iterator[tuple[str, ...]]:
    meanings = _texts_below(limits, None)
    for name, meaning in meanings.items():
        yield f"`{name}`", f"{getattr(limits, name):,}", meaning


def _metrics() -> Iterator[tuple[str, ...]]:
    for call in ast.walk(_tree(metrics)):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            words = [_constant(each) for each in call.args[:2]]
            if call.func.id.endswith("MetricFamily") and len(words) == 2 and all(words):
                suffix = "_total" if call.func.id.startswith("Counter") else ""
                yield f"`{words[0]}{suffix}`", words[1]


# --- reading code --------------------------------------------------------------------------------


def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def _texts_below(module: ModuleType, class_name: str | None) -> dict[str, str]:
    """Return the text that stands below each assignment of a module or class, by name."""
    body: list[ast.stmt] = _tree(module).body
    if class_name is not None:
        (body,) = [
            node.body for node in body if isinstance(node, ast.ClassDef) and node.name == class_name
        ]
    texts: dict[str, str] = {}
    for node, following in zip(body, [*body[1:], None], strict=True):
        name = _assigned(node)
        if name is not None:
            text = _constant(following.value) if isinstance(following, ast.Expr) else ""
            texts[name] = " ".join(text.split())
    return texts


def _assigned(node: ast.stmt) -> str | None:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
        case _:
            return None


def _constant(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _sentence(text: str | None) -> str:
    """Return the first paragraph."""
    return " ".join((text or "").split("\n\n")[0].split())


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    escaped = ([cell.replace("|", "\\|") for cell in row] for row in lines)
    return "".join(f"| {' | '.join(row)} |\n" for row in escaped)


if __name__ == "__main__":
    main()
