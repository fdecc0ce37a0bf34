"""Rows as files: comma separated, JSON, or text as on the screen."""

import csv
import io
import json
from collections.abc import Sequence

from tui.views.rows import Column, Row
from tui.views.text import fit, width_of


def exported(columns: Sequence[Column], rows: Sequence[Row], suffix: str) -> str:
    """Return the rows in the form that a file's suffix asks for; text for unknown ones."""
    names = [column.name or f"column {index}" for index, column in enumerate(columns)]
    cells = [[row.text_of(index).strip() for index in range(len(columns))] for row in rows]
    match suffix:
        case ".csv":
            out = io.StringIO()
            writer = csv.writer(out)
            writer.writerow(names)
            writer.writerows(cells)
            return out.getvalue()
        case ".json":
            records = [
                {**dict(row.facts), **dict(zip(names, texts, strict=True))}
                for row, texts in zip(rows, cells, strict=True)
            ]
            return json.dumps(records, ensure_ascii=False, indent=1) + "\n"
        case _:
            widths = [
                max([width_of(name), *(width_of(texts[index]) for texts in cells)])
                for index, name in enumerate(names)
            ]
            lines = [
                "  ".join(fit(text, width) for text, width in zip(texts, widths, strict=True))
                for texts in [names, *cells]
            ]
            return "\n".join(text.rstrip() for text in lines) + "\n"
