"""The world as arrays: text becomes token ids, sound becomes features, pictures become pixels."""
