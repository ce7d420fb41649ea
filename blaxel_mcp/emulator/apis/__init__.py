"""The request checks and answers of each model API."""
