"""AMSR2 Level 1B swaths of JAXA G-Portal."""
