"""The scenes of `scenario`: replicas of the preset `frappe` in front of a bench, whether a real one or the stand-in."""
