"""What we remember on disk."""
