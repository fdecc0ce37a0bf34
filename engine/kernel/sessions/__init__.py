"""SSH sessions, decided without any input or output.

Who a remote process is (`identity`, `processes`), whether a run still lives and which of its
processes may be signalled (`verdicts`), what the supervision does about it (`decisions`), how the
browser shows it (`marks`), and what an SSH job's parameters mean (`parameters`, `exports`,
`outcome`). The drivers carry these answers out (`engine.drivers.ssh`).
"""
