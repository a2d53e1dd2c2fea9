"""Forecasts without a network: the rules that a network has to beat."""
