"""Who is asking: institutions, accounts, keys for programs, and what their credentials prove."""
