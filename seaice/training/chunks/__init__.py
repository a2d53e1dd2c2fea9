"""Reading days of a cube straight into the arrays of training samples.

A *source* holds the days of one variable: in the chunks of a file (:mod:`.tiles`), in an array in
memory or mapped from the disk (:mod:`.arrays`), or in any file that the NetCDF library can read
(:class:`seaice.training.reader.LibrarySource`). Every source serves the same frame requests
(:mod:`.requests`): which days and cells to read, and the look-up table from stored code to output
value.

A *tile* is the rectangle of cells that one chunk of a day covers. Where the chunks of a file lie is
listed in a chunk table (:mod:`.table`), once for a NetCDF file (:mod:`.netcdf`), day by day for a
Zarr group (:mod:`.zarr`).
"""
