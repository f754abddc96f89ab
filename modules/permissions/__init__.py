"""The permissions module: declared owners and modes are put back."""
