"""The os module: Debian packages are kept current with apt."""
