"""The APIs that a Blaxel model can speak, one file each."""
