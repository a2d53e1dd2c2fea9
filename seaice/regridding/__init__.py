"""Cubes and fields on another grid, and their values at points and along tracks."""
