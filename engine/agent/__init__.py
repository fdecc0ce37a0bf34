"""The program on other hosts: runs shell tasks for engines and tells them what became of them.

The engine's own host uses the same parts for its local tasks (`engine.drivers.local`).
"""
