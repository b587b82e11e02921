"""The framework of a bench, as far as its command line goes."""

__version__ = "15.0.0"
