"""The engine's HTTP interface: XML commands, JSON resources and commands, the event stream."""
