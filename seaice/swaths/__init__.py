"""AMSR2 swaths: collected into archives, split, verified, gridded."""
