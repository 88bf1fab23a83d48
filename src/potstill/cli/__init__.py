"""The command `potstill`: each module parses one command, calls one library function, and prints."""
