"""The config.toml that `mdmserver init` writes: what matters, with comments; everything else has a default."""

import json
from urllib.parse import urlsplit

from mdmserver.cli.simulator_ca import SIMULATOR_CA_NAME
from mdmserver.cli.state import SIMULATOR_CA_FOLDER

SIMULATOR_CA_SECTION = f"""
# Trusts simulated devices. Whoever has {SIMULATOR_CA_FOLDER}/ca.key can enroll devices: take this out in production.
[[device_ca]]
name = "{SIMULATOR_CA_NAME}"
certificates = "{SIMULATOR_CA_FOLDER}/ca.pem"
reenrollment = "allow"
"""

_TEXT = """\
# mdmserver. Every key can also be set by an environment variable (MDMSERVER_<SECTION>_<KEY>) or by `--set`.
# `mdmserver config show` lists all keys and what is in force. Relative paths start at this file's folder.

[server]
# The public name that devices are enrolled with. It cannot change for devices that are enrolled.
url = {url}

[listen]
# Devices and API without TLS: for loopback, or behind a proxy on this machine. "" switches a listener off.
http = {http}
# Devices and API with TLS (needs [tls]); devices prove themselves by signing what they send.
# https = "0.0.0.0:8443"
# Devices only, which present their certificate to TLS itself.
# mtls = "0.0.0.0:8444"
# Health and metrics.
operations = "127.0.0.1:9090"

# [tls]
# certificate = "tls/fullchain.pem"
# key = "tls/privkey.pem"
# For trials without a public certificate: the built-in CA issues one, and enrollment profiles bring that CA.
# own_ca = true

# Behind a proxy: see docs/proxies.md, and check with `mdmserver doctor --url`.
# [identity]
# trusted_proxies = ["127.0.0.1"]

# What people see when they enroll. The topic is that of the push certificate (`mdmserver push-certificate`).
# [enrollment]
# organization = "Example Ltd"
# display_name = "Device management"

# Apple's push service. Where 443 is closed it answers on 2197 too; another host is for a stand-in, whose CA is named
# by ca_file (`mdmserver simulate-apns`).
# [apns]
# host = "api.push.apple.com"
# port = 2197

# The built-in CA (`mdmserver ca show`); devices renew their certificates in time.
# [ca]
# certificate_days = 365

# Another CA whose certificates devices hold (root and intermediates in one PEM file). `reenrollment` says whether a
# device that is known may come back with a new certificate of this CA: "ask" lists it in `mdmctl devices pending`.
# [[device_ca]]
# name = "company"
# certificates = "device-ca.pem"
# reenrollment = "ask"
"""


def config_text(url: str, *, simulator_ca: bool) -> str:
    """The file for this public name. A loopback name is also where the server listens."""
    parts = urlsplit(url)
    is_local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
    http = f"127.0.0.1:{parts.port or 80}" if is_local else "127.0.0.1:8080"
    # A JSON string is a TOML string.
    text = _TEXT.format(url=json.dumps(url, ensure_ascii=False), http=json.dumps(http))
    return text + SIMULATOR_CA_SECTION if simulator_ca else text
