"""Dates of retreat and advance of the ice by cell and ice year, with intervals, trends and maps."""
