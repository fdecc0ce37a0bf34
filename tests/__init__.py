"""Tests, in the layers of tests/README.md."""
