"""An embedded PostgreSQL and Valkey for one machine, on unix sockets in a private folder."""
