"""Held-out scores: gaps cut on purpose into observed maps, filled by methods, and compared."""
