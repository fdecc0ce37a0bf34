"""The cockpit: a terminal program that shows an engine live and does what a person asks for.

It is a mirror of the engine's journal: a snapshot, then events, folded by the engine's own
`evolve` into the same `State`. Views turn that state into rows and drawings without any terminal;
widgets draw them; screens put both together.
"""
