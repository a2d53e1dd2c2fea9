"""Maps drawn with matplotlib: projection, coastlines, colours, decorations."""
