"""Sea ice extent and area by day, and what they say of a cube."""
