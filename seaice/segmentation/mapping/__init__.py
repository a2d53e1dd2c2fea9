"""Maps of whole SAR scenes by a trained network."""
