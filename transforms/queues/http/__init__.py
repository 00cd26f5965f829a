"""http://host/api/v1/items: work sources by the book's contract."""
