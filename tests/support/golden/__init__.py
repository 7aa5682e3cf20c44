"""What calls send and what answers look like, recorded as data."""
