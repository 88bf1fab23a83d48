"""What may come next: grammars that every token obeys, phrases that a text must hold or avoid."""
