"""One HTML page about a cube: coverage, filling, errors, suspicious days, extent, provenance."""
