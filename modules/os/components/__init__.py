"""Parts of the os module."""
