"""Maps and animations of the files that this toolbox reads and writes."""
