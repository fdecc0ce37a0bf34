"""Secret values in XML texts that are kept or shown as they are.

Definition files, on-exit commands, payloads and logged commands carry parameters as text; whatever
stands there under the name of a secret is replaced without touching anything else.
"""

import re
from collections.abc import Callable
from html import unescape
from xml.sax.saxutils import escape

from engine.kernel.sessions.parameters import is_secret_name

_TAG = re.compile(r"""<(?:param|variable)\b(?:[^>"']|"[^"]*"|'[^']*')*>""")
_NAME = re.compile(r"""\sname\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_VALUE = re.compile(r"""(\svalue\s*=\s*)(?:"([^"]*)"|'([^']*)')""")


def with_secrets_replaced(xml: str, replace: Callable[[str], str]) -> str:
    """Return the text with `replace(value)` for each value of a parameter that is a secret."""
    if not is_secret_name(xml):
        return xml

    def new_tag(found: re.Match[str]) -> str:
        name = _NAME.search(found[0])
        if name is None or not is_secret_name(name[1] or name[2] or ""):
            return found[0]
        return _VALUE.sub(new_value, found[0])

    def new_value(found: re.Match[str]) -> str:
        value = replace(unescape(found[2] if found[2] is not None else found[3]))
        return f'{found[1]}"{escape(value, {chr(34): "&quot;"})}"'

    return _TAG.sub(new_tag, xml)


def masked(xml: str) -> str:
    """Return the text for a log: with `***` for each secret."""
    return with_secrets_replaced(xml, lambda value: "***" if value else "")
