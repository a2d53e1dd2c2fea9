"""Forecasts of ice concentration: what they may know, simple rules that make them, their files."""
