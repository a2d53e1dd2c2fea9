"""Figures of SAR scenes, patches and scores."""
