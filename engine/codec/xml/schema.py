"""Compares elements with the tables of what is allowed where, and notes every difference.

The original validates each file and each command against its schema; an unknown element or
attribute is an error, not a warning (live-folder.md 4). The tables are `definition_schema` and
`command_schema`, written in a small language:

* attributes: `NAME:KIND` separated by blanks, `!` behind the name of a required one; the kinds are
  those of `values.KINDS`, `text` when left out;
* children: `TAG` or `TAG=RULE` in the order of the original's schema, with `*` behind the tag when
  it may come more than once and `!` when it must be there.

Elements and attributes of foreign namespaces are the affair of plug-ins and editors: ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.codec.xml.findings import Element, Findings, attributes_of, did_you_mean, tag_of
from engine.codec.xml.values import KINDS, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeRule:
    """What an attribute must look like."""

    kind: Kind
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRule:
    """A child element: which rule it follows and how often it may come."""

    rule: str
    place: int
    """Its place in the schema's sequence; children of equal place may be mixed."""
    repeatable: bool = False
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementRule:
    """What an element may have."""

    attributes: Mapping[str, AttributeRule]
    children: Mapping[str, ChildRule]
    has_text: bool = False
    is_opaque: bool = False
    """Content is the affair of somebody else: only the element itself is known here."""
    is_ordered: bool = True


def element(
    attributes: str = "",
    children: str = "",
    *,
    text: bool = False,
    opaque: bool = False,
    ordered: bool = True,
) -> ElementRule:
    """Read a rule from the language of the tables."""
    return ElementRule(
        attributes=_attribute_rules(attributes),
        children=_child_rules(children),
        has_text=text,
        is_opaque=opaque,
        is_ordered=ordered,
    )


def words(text: str) -> tuple[str, ...]:
    """Split a list of names; long tables are easier to read without quotes."""
    return tuple(text.split())


def check(root: Element, rule: str, table: Mapping[str, ElementRule], findings: Findings) -> None:
    """Note everything in which an element and its content differ from a rule of the table."""
    pending = [(root, table[rule])]
    while pending:
        current, current_rule = pending.pop()
        _check_attributes(current, current_rule, findings)
        if not current_rule.is_opaque:
            pending.extend(
                (child, table[child_rule.rule])
                for child, child_rule in _checked_children(current, current_rule, findings)
            )


def _attribute_rules(text: str) -> dict[str, AttributeRule]:
    rules = {}
    for word in text.split():
        name, _, kind = word.partition(":")
        rules[name.rstrip("!")] = AttributeRule(
            kind=KINDS[kind or "text"], required=name.endswith("!")
        )
    return rules


def _child_rules(text: str) -> dict[str, ChildRule]:
    rules = {}
    for place, group in enumerate(text.split()):
        for word in group.split("|"):
            name, _, rule = word.partition("=")
            tag = name.rstrip("*!")
            rules[tag] = ChildRule(
                rule=rule or tag, place=place, repeatable="*" in name, required="!" in name
            )
    return rules


def _check_attributes(current: Element, rule: ElementRule, findings: Findings) -> None:
    tag = tag_of(current)
    for name, value in attributes_of(current):
        known = rule.attributes.get(name)
        if known is None:
            if not name.startswith("{") and not rule.is_opaque:
                findings.error(
                    current,
                    f"<{tag}> has no attribute {name!r}",
                    attribute=name,
                    advice=did_you_mean(name, rule.attributes),
                )
        elif not known.kind.accepts(value):
            findings.error(
                current,
                f"{name}={shortened(value)} is not possible",
                attribute=name,
                advice=f"Allowed: {known.kind.allowed}",
            )
        elif not value.isascii() and not _is_latin(value):
            findings.error(
                current,
                f"The attribute {name!r} has characters that are not in ISO-8859-1",
                attribute=name,
                advice="Use characters of ISO-8859-1 in attributes, as JobScheduler requires",
            )
    for name, known in rule.attributes.items():
        if known.required and current.get(name) is None:
            findings.error(
                current,
                f"<{tag}> needs the attribute {name!r}",
                advice=f'Add {name}="…"; allowed: {known.kind.allowed}',
            )


def _checked_children(
    current: Element, rule: ElementRule, findings: Findings
) -> list[tuple[Element, ChildRule]]:
    """Check number, order and names of the children; return those that are known."""
    known: list[tuple[Element, ChildRule]] = []
    seen: set[str] = set()
    highest, highest_tag = -1, ""
    tag = tag_of(current)
    for child in current.iterchildren("*"):
        child_tag = tag_of(child)
        child_rule = rule.children.get(child_tag)
        if child_rule is None:
            if not child_tag.startswith("{"):
                findings.error(
                    child,
                    f"<{child_tag}> is not known inside <{tag}>",
                    advice=did_you_mean(child_tag, rule.children),
                )
            continue
        if child_tag in seen and not child_rule.repeatable:
            findings.error(
                child,
                f"<{tag}> has more than one <{child_tag}>",
                advice="Keep one of them",
            )
            continue
        if rule.is_ordered and child_rule.place < highest:
            findings.warning(
                child,
                f"<{child_tag}> stands behind <{highest_tag}>",
                advice=f"JobScheduler wants it before <{highest_tag}>; it is read nevertheless",
            )
        elif child_rule.place > highest:
            highest, highest_tag = child_rule.place, child_tag
        seen.add(child_tag)
        known.append((child, child_rule))
    for child_tag, child_rule in rule.children.items():
        if child_rule.required and child_tag not in seen:
            findings.error(
                current, f"<{tag}> needs a <{child_tag}>", advice=f"Add a <{child_tag}> element"
            )
    if not rule.has_text:
        _check_text(current, findings)
    return known


def _check_text(current: Element, findings: Findings) -> None:
    texts = [current.text, *(child.tail for child in current)]
    stray = next((text.strip() for text in texts if text and text.strip()), None)
    if stray is not None:
        findings.error(
            current,
            f"<{tag_of(current)}> has the text {shortened(stray)}, but no text belongs here",
            advice="Remove it, or put it into <!-- --> if it is a remark",
        )


def shortened(value: str) -> str:
    """Quote a value for a message, cut when it is long."""
    return repr(value if len(value) <= 60 else value[:57] + "…")


def _is_latin(value: str) -> bool:
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
