"""Bytes <-> kernel values; the only place for lxml and msgspec."""
