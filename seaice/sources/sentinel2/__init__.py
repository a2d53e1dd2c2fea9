"""Sentinel-2 Level-2A images of a STAC catalogue: which there are, and their bands."""
