"""Moving files of any size and number between a disk and a storage proxy."""
