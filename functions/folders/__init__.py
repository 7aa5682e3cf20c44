"""Virtual folders: content, files, sharing, hosts."""
