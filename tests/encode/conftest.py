"""Property tests here are bounded by their number, not by the clock of a busy machine."""

from hypothesis import settings

settings.register_profile("encode", deadline=None, database=None)
settings.load_profile("encode")
