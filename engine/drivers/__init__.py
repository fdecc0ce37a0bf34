"""The engine's hands: each driver brings demands about and reports what happened."""
