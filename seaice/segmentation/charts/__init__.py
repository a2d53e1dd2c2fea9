"""Ice charts on the pixels of scenes and the cells of grids, and beside cubes."""
