"""The portal: pages for holders, referents and managers, and the JSON API. No rule lives here."""
