"""Gridded sea ice freeboard of ICESat-2."""
