"""Configuration: files to checked, frozen values."""
