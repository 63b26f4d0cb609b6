"""guywire: a plugin host that manages fleets of network devices."""

import warnings

import pluggy

__version__ = "0.1.0"

hookimpl = pluggy.HookimplMarker("guywire")

# Pyramid and cornice ask for their versions in an old way. We require the setuptools that still knows it, and the
# warning would greet everybody who types a command.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated as an API", category=UserWarning)
