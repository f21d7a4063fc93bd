"""File formats as iterators of rows. Errors give the name of the file and the line."""
