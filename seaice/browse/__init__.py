"""Maps and series of a file on a page in the browser, served by this machine or exported."""
