"""The files of a Hugging Face folder, read and written."""
