"""Command lines: each turns its words into one call and one exit code."""
