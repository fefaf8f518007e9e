"""How close generated images are to real ones: distances and diversity, each with its floor and its protocol."""
