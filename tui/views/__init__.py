"""Pure functions from what the cockpit knows to rows, drawings and lines of text."""
