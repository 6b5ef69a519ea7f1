"""Nothing here runs among the other tests, which have two devices."""

import jax

collect_ignore_glob = [] if jax.device_count() == 8 else ["test_*.py"]
