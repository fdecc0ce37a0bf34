"""Composition: settings, the owner of the state, recovery, and what wires everything together."""
