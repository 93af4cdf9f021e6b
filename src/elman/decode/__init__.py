"""Arrays as the world: predictions become text, words to suggest, and scores of both."""
