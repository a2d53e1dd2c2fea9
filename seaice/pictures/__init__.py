"""Maps and animations of any file the toolbox writes."""
