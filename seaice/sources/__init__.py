"""One module per archive: name grammar, listing, reading."""
