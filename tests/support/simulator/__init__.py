"""The whole product in one process under virtual time: engines, agents, network, disks, from a seed.

Real are: the kernel, the journal's codec, the engine's loop, recovery, dispatch, on-exit commands
and task outputs of `engine.service`, the session driver with its link core, the agent's service with
its ledger, and every byte between them. Each runs in an event loop of its own host, whose time is the
world's. Fakes, each with its fault model in prose at the top of its file, are the disks, the
processes, the network and the clocks. An independent book-keeper watches.

    python -m tests.support.simulator 17              plays seed 17 and prints its trace
    python -m tests.support.simulator 0-20000         plays many and prints those that fail
    python -m tests.support.simulator 0-20000 --jobs 2
    python -m tests.support.simulator plant dispatch-before-commit 17
"""
