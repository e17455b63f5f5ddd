"""Where users' data is kept: one interface, three engines (lond.md 3).

    model       what every engine offers
"""
