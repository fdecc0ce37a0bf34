"""A small world of engines and agents under virtual time, for the protocol between them.

The cores are the real ones: `engine.drivers.link_core` and `engine.agent.ledger`. Around them stand
fakes, each with its fault model in prose at the top of its file. `world.run(seed)` plays one seed.
"""
