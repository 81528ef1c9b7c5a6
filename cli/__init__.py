"""`coupe-file …`: operate, ask, read, verify. No rule lives here: the edge parses, opens the transaction, and says what came of it."""
