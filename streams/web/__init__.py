"""HTTP: the API, the metrics endpoint, server-sent events and the page. Reads snapshots of the board."""
