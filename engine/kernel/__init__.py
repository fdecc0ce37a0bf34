"""The pure kernel: input -> decide -> events -> evolve -> state. No input or output of any kind."""
