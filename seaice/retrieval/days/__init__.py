"""Daily grids of ice concentration from swaths or gridded brightness temperatures."""
