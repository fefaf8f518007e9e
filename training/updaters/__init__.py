"""Updaters: what trains one network of a system."""
