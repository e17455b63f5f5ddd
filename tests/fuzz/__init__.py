"""Owns the fuzzing: harnesses, the loop that makes inputs for them, and the corpus that is replayed first."""
