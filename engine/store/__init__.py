"""Durable things: the journal, the projections made of it, and the logs of tasks."""
