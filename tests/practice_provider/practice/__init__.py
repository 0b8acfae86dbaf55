"""The server side of the practice provider: an authorization server that keeps an honest ledger and can misbehave."""
