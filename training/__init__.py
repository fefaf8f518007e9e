"""Training as a game of players on one loop."""
