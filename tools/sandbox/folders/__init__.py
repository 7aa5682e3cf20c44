"""Virtual folders and the storage proxy."""
