"""Scores of forecasts of ice concentration: functions of arrays."""
