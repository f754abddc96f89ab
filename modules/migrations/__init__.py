"""The migrations module: ordered scripts, each run once."""
