"""What all tests of the package share."""

from hypothesis import settings

# A machine that is busy with something else is no reason to fail.
settings.register_profile("hitring", deadline=None, print_blob=True)
settings.load_profile("hitring")
