"""`<script>` elements -> shell, native and foreign scripts (orders-and-jobs.md 3.4)."""

from engine.codec.xml.findings import Element
from engine.codec.xml.includes import read_parts
from engine.codec.xml.reading import Reading
from engine.kernel.definitions import ForeignScript, NativeScript, Script, ShellScript
from engine.kernel.native import native_kind

_JAVA = "java"


def read_script(reading: Reading, element: Element) -> Script:
    """Return what a `<script>` element says; languages that nobody here speaks are kept by name."""
    language = reading.text(element, "language").strip().lower()
    java_class = reading.text(element, "java_class").strip()
    parts = read_parts(reading, element)
    if java_class and language in ("", _JAVA):
        kind = native_kind(java_class)
        if kind is not None:
            return NativeScript(kind=kind, java_class=java_class, parts=parts)
        return ForeignScript(language=_JAVA, parts=parts, java_class=java_class)
    if language == "shell":
        if not parts:
            reading.findings.error(
                element,
                "The shell script is empty",
                code="SCHEDULER-173",
                advice='Write the commands between <script language="shell"> and </script>',
            )
        return ShellScript(parts=parts)
    if not language:
        reading.findings.warning(
            element,
            "<script> names no language, so its tasks will fail",
            advice='Add language="shell" if it is a shell script',
        )
    return ForeignScript(language=language, parts=parts, java_class=java_class)
