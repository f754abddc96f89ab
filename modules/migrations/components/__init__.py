"""Parts of the migrations module."""
