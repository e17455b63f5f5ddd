"""Mutation testing of the four parts that carry the promises: see README.md here.

What stands inside functions is changed by mutmut; what mutmut leaves out (module-level tables and constants,
class bodies, properties, whole statements) by operators of our own.
"""
