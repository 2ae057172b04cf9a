"""The services of a laptop: MongoDB, Valkey, MariaDB, and the demo that puts them together."""
