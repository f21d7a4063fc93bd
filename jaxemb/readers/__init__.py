"""File formats as iterators of rows. What is wrong with a file is said with its name and line."""
