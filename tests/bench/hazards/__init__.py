"""Every hazard of the stand-in, asserted."""
