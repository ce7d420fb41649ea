"""A loopback stand-in for the documented platform."""
