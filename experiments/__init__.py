"""Small experiments on what papers claim, each of minutes on one CPU core: python -m experiments --help."""
