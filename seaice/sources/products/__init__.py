"""Daily sea ice concentration of many producers: one description each, one reader.

A product is a short YAML file beside this module, or a user's own: names of files, container, variable,
scale, codes by raw number, grid, time, uncertainty and flags. No code of a product stands in Python.
"""

from seaice.sources.products.file import ProductFile, parse_name
from seaice.sources.products.folder import FolderListing, find_product_files, list_file_days
from seaice.sources.products.product import CellClass, Product, get_product, list_products
from seaice.sources.products.reader import ProductDay, read_product_day, read_product_grid

__all__ = [
    "CellClass",
    "FolderListing",
    "Product",
    "ProductDay",
    "ProductFile",
    "find_product_files",
    "get_product",
    "list_file_days",
    "list_products",
    "parse_name",
    "read_product_day",
    "read_product_grid",
]
