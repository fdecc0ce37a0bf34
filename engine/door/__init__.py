"""The door: an SSH server whose only service is the cockpit, a child process for each session."""
