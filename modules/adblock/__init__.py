"""The adblock module: block lists become an include of unbound."""
