"""Daily AMSR2 ice concentration of the University of Bremen."""
