"""``elman serve``: trained models over HTTP and WebSocket, for programs and for the page."""
