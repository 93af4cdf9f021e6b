"""Side by side with peers in one run; no speed is printed beside a wrong result."""
