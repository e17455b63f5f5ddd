"""What lond can be asked: one table, and what each of its rows does (lond.md 2).

    model       what a row is, and what its handler is given
"""
