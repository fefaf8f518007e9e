"""Optimizers, and what follows each of their steps."""
