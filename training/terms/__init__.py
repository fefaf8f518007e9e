"""Terms that are added to an objective's loss."""
