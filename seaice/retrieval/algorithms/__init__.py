"""One module an algorithm: pure functions of the brightness temperatures of places."""
