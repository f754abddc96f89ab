"""Parts of the hotfix module."""
