"""Pointsman's engine: a headless process that moves orders through job chains."""

__version__ = "0.1.0"
