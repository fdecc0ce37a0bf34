"""One noun a screen: a view, a widget and keys."""
