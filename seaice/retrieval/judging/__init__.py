"""Algorithms judged on samples of known concentration."""
