"""Ice charts in SIGRID-3: polygons with the codes of the egg, as ice services publish them."""
