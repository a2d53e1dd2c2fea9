"""Fields with gaps in files of any kind: reading, filling and writing them."""
