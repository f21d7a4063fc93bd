"""The suites: a file each."""
