"""What is said on the wire: framing, words, cipher, and the dialogue from both sides."""
