"""A package, so that its fixtures end with it: Playwright leaves an event loop running,
in which no later test of the process could start one of its own."""
