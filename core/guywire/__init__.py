"""guywire: a plugin host that manages fleets of network devices."""

import pluggy

__version__ = "0.1.0"

hookimpl = pluggy.HookimplMarker("guywire")
