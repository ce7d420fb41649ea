"""Complete answers, stored by call id in memory and on disk."""
