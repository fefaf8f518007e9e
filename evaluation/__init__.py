"""How far generated pictures are from real ones: distances and diversity, with their floor and protocol."""
