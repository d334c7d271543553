"""Property tests say what is true, not how fast: no example has a deadline, which a busy machine would miss."""

from hypothesis import settings

settings.register_profile("greta", deadline=None)
settings.load_profile("greta")
