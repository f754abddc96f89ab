"""The venvs module: Python environments are brought to their requirement files."""
