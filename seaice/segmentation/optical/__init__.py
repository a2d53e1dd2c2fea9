"""Optical images on the pixels of SAR scenes."""
