"""Scores of segmentation networks and what they are compared with."""
