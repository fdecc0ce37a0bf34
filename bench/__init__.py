"""Benches: scripts, and what they share."""
