"""Sign-in, keys, dotfiles and error logs."""
