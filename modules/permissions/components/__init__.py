"""Parts of the permissions module."""
