"""Any gappy field in a file: opened, read, filled, written."""
