"""Metrics, one file each, and the feature network that some of them use."""
