"""The proof: which tests prove which promise, campaigns of any length, and the report they add up to."""
