"""From MODEL, as a user names it, to files on this machine."""
