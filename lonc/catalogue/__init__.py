"""What can be said of every message, state, exit code and count: its cause and its remedy.

`messages.toml` has every message of the logs with its id, `words.toml` every other word that an administrator may
meet. The tables of doc/operations.md are made from the first (lonc/cli/messages.py). Nothing here is loaded by the
daemon unless a setting asks for ids (loncLogIds, loncJsonLog): a child would pay for it with memory.
"""

from lonc.catalogue.messages import Match, Message, Section, find, messages, sections
from lonc.catalogue.words import Word, words

__all__ = ["Match", "Message", "Section", "Word", "find", "messages", "sections", "words"]
