"""Parts of the venvs module."""
