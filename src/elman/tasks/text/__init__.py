"""Learn a text, then predict what comes next."""
