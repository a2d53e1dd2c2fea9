"""Forecasts scored against a cube: by day, as tables, as maps and as pictures."""
