"""What draws: tables, logs, lines of text, questions, forms. Widgets know roles, never colours."""
