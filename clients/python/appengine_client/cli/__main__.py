"""`python -m appengine_client.cli`."""

from __future__ import annotations

from appengine_client.cli.main import main

main()
