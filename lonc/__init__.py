"""lonc: one persistent link from this server to every other server of a LON-CAPA network."""

__version__ = "1.0.0"
