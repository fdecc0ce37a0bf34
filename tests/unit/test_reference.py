"""The reference is what the code says."""

import importlib.util

from tests.support.programs import CHECKOUT


def test_the_reference_is_up_to_date() -> None:
    file = CHECKOUT / "docs" / "write_reference.py"
    spec = importlib.util.spec_from_file_location("write_reference", file)
    assert spec is not None
    assert spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    written = (CHECKOUT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert written == writer.reference(), "run: PYTHONPATH=. python docs/write_reference.py"
