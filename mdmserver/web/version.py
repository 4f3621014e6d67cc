"""Which version of the server this is, as it tells those who ask."""

VERSION = "0.1.0"
