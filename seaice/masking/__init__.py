"""Making a land mask from daily files."""
