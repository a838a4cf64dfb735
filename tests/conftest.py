"""What all tests share: Hypothesis draws the same examples in every run, on every machine."""

import hypothesis

hypothesis.settings.register_profile("niclab", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.load_profile("niclab")
