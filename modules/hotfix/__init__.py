"""The hotfix module: scripts with conditions, each run once."""
