"""Penalties on a discriminator's gradient."""
