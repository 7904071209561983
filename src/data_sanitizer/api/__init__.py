"""The routes of the service, by noun; every schema of a request or an answer stands in `schemas`."""
