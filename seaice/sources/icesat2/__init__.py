"""ICESat-2 ATL10 and ATL07 granules of NSIDC."""
