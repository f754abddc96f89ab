"""Parts of the adblock module."""
