"""The vocabulary of a run: a language-smoothed sample of texts, its words counted, and WordPiece trained on them."""
