"""Gap filling: pure functions of (time, y, x) stacks, and their registry."""
