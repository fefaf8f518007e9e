"""Training: systems of updaters, trained by one loop."""
