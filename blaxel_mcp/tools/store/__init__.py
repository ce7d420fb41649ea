"""Complete answers, kept by call id in memory and on disk."""
